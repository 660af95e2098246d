import type { TensorIsland } from "./tensor-section.js";

/**
 * What the page's script does: sorting, filtering, the choice of a map, what is under the pointer, the theme. It is
 * written into the page as text, so nothing outside of it may be named here. Without it the page shows everything.
 */
export function behaviour(): void {
  const all = <T extends Element>(selector: string, within: ParentNode = document): T[] => [
    ...within.querySelectorAll<T>(selector),
  ];
  const byId = (id: string): HTMLElement | null => document.getElementById(id);
  const create = (tag: string, text: string, parent: Element): HTMLElement => {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  // ---- Theme: as the system says, until it is chosen.
  const theme = byId("theme") as HTMLButtonElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = (): boolean => {
    const { theme: chosen } = document.documentElement.dataset;
    return chosen === undefined ? dark.matches : chosen === "dark";
  };
  const nameTheme = (): void => {
    theme.textContent = isDark() ? "Light theme" : "Dark theme";
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  dark.addEventListener("change", nameTheme);
  nameTheme();

  // ---- Tables: a click on a column's head sorts, a second one turns the order.
  const sortable = (table: HTMLTableElement, body: HTMLTableSectionElement): void => {
    const heads = all<HTMLTableCellElement>("thead th", table);
    for (const [column, head] of heads.entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.ariaSort === "ascending";
        for (const other of heads) other.ariaSort = "none";
        head.ariaSort = descending ? "descending" : "ascending";
        const value = (row: HTMLTableRowElement): string | undefined => row.cells[column]!.dataset.value;
        const sorted = [...body.rows].sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          const [m, n] = [Number(x), Number(y)];
          if (column === 0)
            return (x ?? "").localeCompare(y ?? "", undefined, { numeric: true }) * (descending ? -1 : 1);
          // What was not measured, or is no number, stays last either way.
          const [known, other] = [x !== undefined && !Number.isNaN(m), y !== undefined && !Number.isNaN(n)];
          if (!known || !other) return Number(other) - Number(known);
          return m === n ? 0 : (m < n ? -1 : 1) * (descending ? -1 : 1);
        });
        body.append(...sorted);
      });
    }
  };
  const candidates = byId("candidates") as HTMLTableElement | null;
  const rows = candidates?.querySelector<HTMLTableSectionElement>("tbody.rows");
  if (candidates && rows) {
    sortable(candidates, rows);
    const filter = byId("filter") as HTMLInputElement;
    filter.closest<HTMLElement>(".tools")!.hidden = rows.rows.length < 2;
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      let found = 0;
      for (const row of rows.rows) {
        row.hidden = !row.cells[0]!.textContent!.toLowerCase().includes(wanted);
        if (!row.hidden) found++;
      }
      byId("matches")!.textContent = wanted === "" ? "" : `${found} of ${rows.rows.length}`;
    });
  }

  // ---- Commands.
  const copy = byId("copy") as HTMLButtonElement | null;
  if (copy !== null) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      const text = byId("commands")!;
      try {
        await navigator.clipboard.writeText(text.textContent!);
        copy.textContent = "Copied";
      } catch {
        // Not allowed here: selected, it can be copied by hand.
        getSelection()!.selectAllChildren(text);
        copy.textContent = "Selected";
      }
    });
  }

  // ---- Tensors.
  const island = byId("data");
  if (island === null) return;
  const { names, shapes, types, candidates: measured } = JSON.parse(island.textContent!) as TensorIsland;
  type Figure = number | string | undefined;
  const inWords: Record<string, string> = { Infinity: "exact", "-Infinity": "−∞", NaN: "not a number" };
  const decibels = (value: Figure): string =>
    typeof value === "number" ? value.toFixed(2) : value === undefined ? "–" : inWords[value]!;
  const withUnit = (value: Figure): string => decibels(value) + (typeof value === "number" ? " dB" : "");
  const small = (value: Figure): string =>
    typeof value !== "number" ? decibels(value) : value === 0 ? "0" : value.toExponential(2);
  const cosineOf = (value: Figure): string =>
    typeof value === "number" ? value.toFixed(6) : decibels(value);
  let chosen = 0;

  const maps = all<HTMLElement>("[data-map]");
  const table = byId("all") as HTMLDetailsElement;
  const fillTable = (): void => {
    const box = table.querySelector<HTMLElement>(".scroll")!;
    box.replaceChildren();
    if (!table.open) return;
    const filled = document.createElement("table");
    const head = create("tr", "", create("thead", "", filled));
    const weighted = measured[chosen]!.rows.some((row) => row.length > 7);
    for (const title of [
      "Tensor",
      "Shape",
      "From",
      "To",
      "SQNR, dB",
      ...(weighted ? ["Weighted, dB"] : []),
      "RMSE",
      "Max error",
      "Cosine",
    ]) {
      const cell = create("th", title, head) as HTMLTableCellElement;
      cell.scope = "col";
      cell.ariaSort = "none";
    }
    const body = create("tbody", "", filled) as HTMLTableSectionElement;
    for (const [name, from, to, sqnr, rmse, max, cosine, weight] of measured[chosen]!.rows) {
      const row = create("tr", "", body);
      const title = create("th", "", row) as HTMLTableCellElement;
      title.scope = "row";
      title.dataset.value = names[name]!;
      create("bdi", names[name]!, title);
      const cell = (text: string, value: Figure): void => {
        const made = create("td", text, row);
        if (value !== undefined) made.dataset.value = String(value);
      };
      cell(shapes[name]!, String(shapes[name]!.split(" × ").reduce((product, n) => product * Number(n), 1)));
      cell(types[from]!, String(from));
      cell(types[to]!, String(to));
      cell(decibels(sqnr), sqnr);
      if (weighted) cell(decibels(weight), weight);
      cell(small(rmse), rmse);
      cell(small(max), max);
      cell(cosineOf(cosine), cosine);
    }
    sortable(filled, body);
    box.append(filled);
  };
  const choose = (map: number): void => {
    chosen = map;
    for (const [i, element] of maps.entries()) element.hidden = i !== map;
    table.querySelector("summary span")!.textContent = measured[map]!.label;
    fillTable();
  };
  const choice = byId("choice");
  if (choice !== null) {
    choice.hidden = false;
    choice.addEventListener("change", (event) => choose(Number((event.target as HTMLInputElement).value)));
  }
  table.hidden = false;
  table.addEventListener("toggle", fillTable);
  // A reload may remember another choice than the first.
  choose(Number(document.querySelector<HTMLInputElement>("#choice input:checked")?.value ?? 0));

  const tip = byId("tip");
  let on: Element | undefined;
  const leave = (): void => {
    on?.classList.remove("on");
    on = undefined;
    if (tip) tip.hidden = true;
  };
  const show = (cell: Element): void => {
    if (cell === on || tip === null) return;
    leave();
    on = cell;
    cell.classList.add("on");
    const number = Number(cell.getAttribute("data-i"));
    const row = measured[chosen]!.rows.find(([name]) => name === number);
    if (row === undefined) return;
    const [, from, to, sqnr, rmse, max, cosine, weight] = row;
    tip.replaceChildren();
    create("bdi", names[number]!, create("b", "", tip));
    const line = (text: string): void => void create("div", text, tip);
    line(`${shapes[number]}, ${types[from!]} → ${types[to!]}`);
    line(`SQNR ${withUnit(sqnr)}${weight === undefined ? "" : `, weighted ${withUnit(weight)}`}`);
    line(`RMSE ${small(rmse)}, largest error ${small(max)}, cosine ${cosineOf(cosine)}`);
    tip.hidden = false;
    place();
  };
  /** Above the cell, or below where there is no room. */
  const place = (): void => {
    if (on === undefined || tip === null) return;
    const at = on.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = tip;
    const left = Math.max(
      8,
      Math.min(at.left + at.width / 2 - offsetWidth / 2, innerWidth - offsetWidth - 8),
    );
    const above = at.top - offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : at.bottom + 8}px`;
  };
  const cellAt = (event: Event): Element | null =>
    event.target instanceof Element ? event.target.closest("[data-i]") : null;
  for (const map of maps) {
    for (const kind of ["pointerover", "click"])
      map.addEventListener(kind, (event) => {
        const cell = cellAt(event);
        if (cell === null) leave();
        else show(cell);
      });
    map.addEventListener("pointerleave", leave);
    const region = map.querySelector<HTMLElement>(".scroll")!;
    region.addEventListener("blur", leave);
    region.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return leave();
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = neighbour(all<SVGRectElement>("[data-i]", map), on, step[0]!, step[1]!);
      if (next === undefined) return;
      next.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(next);
    });
  }
  addEventListener("scroll", place, { passive: true, capture: true });

  /** The nearest cell in a direction; the first where none was shown. */
  function neighbour(
    cells: SVGRectElement[],
    from: Element | undefined,
    x: number,
    y: number,
  ): SVGRectElement | undefined {
    const middle = (cell: Element): [number, number] => {
      const { left, top, width, height } = cell.getBoundingClientRect();
      return [left + width / 2, top + height / 2];
    };
    if (from === undefined)
      return cells.reduce<SVGRectElement | undefined>((first, cell) => {
        if (first === undefined) return cell;
        const [[a, b], [c, d]] = [middle(first), middle(cell)];
        return d < b - 1 || (Math.abs(d - b) <= 1 && c < a) ? cell : first;
      }, undefined);
    const [fromX, fromY] = middle(from);
    let best: SVGRectElement | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const cell of cells) {
      const [cellX, cellY] = middle(cell);
      const ahead = (cellX - fromX) * x + (cellY - fromY) * y;
      const aside = Math.abs((cellX - fromX) * y) + Math.abs((cellY - fromY) * x);
      // Along a row only cells of that row count; from a wide cell any column will do.
      if (ahead < 1 || (x !== 0 && aside > 1)) continue;
      if (ahead + aside * 0.01 < least) [best, least] = [cell, ahead + aside * 0.01];
    }
    return best;
  }
}
