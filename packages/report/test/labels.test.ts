import { expect, test } from "vitest";
import { type Box, type Labelled, type Placement, placeLabels } from "../src/labels.js";

const frame = { left: 0, top: 0, right: 400, bottom: 300 };

const boxOf = ({ x, y, width, height }: Labelled, { dx, dy, anchor }: Placement): Box => {
  const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
  return { left, right: left + width, top: y + dy - height / 2, bottom: y + dy + height / 2 };
};
const touch = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

test("labels of a crowd neither cover each other nor leave the frame", () => {
  const points = Array.from({ length: 100 }, (_, i) => ({
    x: 20 + ((i * 97) % 360),
    y: 20 + ((i * 61) % 260),
    width: 60,
    height: 14,
  }));
  const boxes = placeLabels(points, [], frame).flatMap((place, i) =>
    place === undefined ? [] : [boxOf(points[i]!, place)],
  );
  expect(boxes.length).toBeGreaterThan(10);
  for (const [i, box] of boxes.entries()) {
    expect(box.left).toBeGreaterThanOrEqual(frame.left);
    expect(box.right).toBeLessThanOrEqual(frame.right);
    expect(box.top).toBeGreaterThanOrEqual(frame.top);
    expect(box.bottom).toBeLessThanOrEqual(frame.bottom);
    for (const other of boxes.slice(i + 1)) expect(touch(box, other)).toBe(false);
  }
});

test("a label moves out of the way of a line where it can, and has a place where it cannot", () => {
  const point = { x: 200, y: 150, width: 60, height: 14 };
  const right = { left: 205, right: 400, top: 0, bottom: 300 };
  expect(placeLabels([point], [right], frame)[0]!.anchor).not.toBe("start");
  expect(placeLabels([point], [frame], frame)[0]).toBeDefined();
});

test("of two at one point both are labelled, the first at the better place", () => {
  const point = { x: 200, y: 150, width: 60, height: 14 };
  const [first, second] = placeLabels([point, point], [], frame);
  expect(first).toEqual(placeLabels([point], [], frame)[0]);
  // Each would cover the other's point only if it covered its own.
  expect(second === undefined || second.anchor !== first!.anchor || second.dy !== first!.dy).toBe(true);
});
