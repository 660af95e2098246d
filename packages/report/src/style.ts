import { rampColours, type ThemedColour } from "./ramp.js";

/** Name → in light and in dark. Okabe and Ito's where they mean something; every text has a contrast of 4.5 or more. */
const palette: readonly (readonly [string, ThemedColour])[] = [
  ["page", ["#f6f7f9", "#0f1114"]],
  ["surface", ["#fff", "#181b20"]],
  ["ink", ["#16191d", "#eceef1"]],
  ["muted", ["#565d66", "#a9b1bb"]],
  ["line", ["#dfe3e8", "#30353d"]],
  ["accent", ["#0068a8", "#5bb8ec"]],
  ["best", ["#c44f00", "#ffa63d"]],
  ["band", ["#c9d6e2", "#3d4b59"]],
  ["heat-exact", ["#dfe3e8", "#3a4048"]],
  ["on-heat-exact", ["#16191d", "#eceef1"]],
  ["heat-nan", ["#d0006f", "#ff5fae"]],
  ["on-heat-nan", ["#fff", "#000"]],
];

/** Browsers that do not know light-dark(), of before 2024, show the light theme. */
function colours(heatClasses: number): string {
  const all = [...palette, ...rampColours(heatClasses)];
  const light = all.map(([name, [light]]) => `--${name}:${light};`).join("");
  const both = all.map(([name, [light, dark]]) => `--${name}:light-dark(${light},${dark});`).join("");
  return `:root{${light}}@supports (color:light-dark(#000,#fff)){:root{color-scheme:light dark;${both}}}`;
}

/** The page's style sheet. */
export const styleSheet = (heatClasses: number): string => `
${colours(heatClasses)}
:root[data-theme=light]{color-scheme:light}
:root[data-theme=dark]{color-scheme:dark}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:1140px;margin:0 auto;padding:0 16px}
header{display:grid;grid-template-columns:1fr auto;gap:4px 16px;align-items:start;padding-top:24px}
header .sub{grid-column:1/-1}
h1{font-size:1.5rem;line-height:1.25;margin:0;min-width:0}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 8px}
h3{font-size:1rem;margin:16px 0 8px}
p{margin:0 0 12px;max-width:75ch}
small{font-size:.8125em;color:var(--muted);font-weight:400}
a{color:var(--accent)}
bdi{unicode-bidi:isolate}
section{background:var(--surface);border:1px solid var(--line);border-radius:10px;padding:20px;margin:16px 0}
.sub,.note{color:var(--muted);font-size:.875rem}
.note:last-child{margin-bottom:0}
.lead{font-size:1.0625rem}
button,input[type=search]{font:inherit;font-size:.875rem;color:var(--ink);background:var(--surface);border:1px solid var(--muted);border-radius:6px;padding:5px 10px;min-height:34px}
button{cursor:pointer}
button:hover{border-color:var(--accent);color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.cards{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:12px;padding:0;margin:0 0 14px}
.cards li{border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.cards li.best{border:2px solid var(--best)}
.cards h3{margin:0;font-size:.8125rem;font-weight:600;color:var(--muted)}
.cards .best h3{color:var(--best)}
.cards .name{font-size:1.125rem;font-weight:650;margin:0 0 6px}
dl{margin:0}
dl div{display:flex;justify-content:space-between;gap:12px;font-size:.875rem}
dt{color:var(--muted)}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
figure{margin:0}
figcaption{font-weight:600;margin-bottom:4px}
.plot{display:block;max-width:100%;height:auto;font-size:12px;font-family:inherit;overflow:visible}
.plot text{white-space:pre}
.plot .label{font-weight:600}
.plot .label.detail{font-weight:400;font-size:11px}
.plot .strong{font-weight:750}
.plot .figure{font-size:11px}
.plot .cell rect:hover,.plot .cell rect.on{stroke:var(--ink);stroke-width:2}
.plot .figure{pointer-events:none}
.narrow{display:none}
@media (max-width:640px){.wide{display:none}.narrow{display:block}section{padding:14px 12px}th .file{display:none}header,main,footer{padding-left:10px;padding-right:10px}}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 14px;padding:0;margin:8px 0 10px;font-size:.8125rem;color:var(--muted)}
.legend li{display:flex;align-items:center;gap:5px}
.scroll{overflow-x:auto;max-width:100%}
.map .plot{max-width:none}
.map{margin:0 0 14px}
table{border-collapse:collapse;width:100%;font-size:.84375rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);font-size:.8125rem;padding-bottom:6px}
caption span{display:inline-block;position:sticky;left:0;max-width:min(75ch,calc(100vw - 48px))}
th,td{padding:7px 8px;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{text-align:left;position:sticky;left:0;background:var(--surface);white-space:normal;overflow-wrap:break-word;max-width:min(260px,45vw);z-index:1}
thead th{font-weight:600;vertical-align:bottom;border-bottom:2px solid var(--muted)}
tbody th{font-weight:600}
td small{white-space:nowrap}
.rows td small,.reference td small{display:block}
.file{display:block}
.aside{display:block}
th .file{max-width:22ch}
.reference th,.reference td{color:var(--muted);font-weight:400}
.beaten>th>bdi,.beaten>td{color:var(--muted)}
.tag{display:table;margin-top:3px;padding:0 6px;border-collapse:separate;border-radius:4px;border:1px solid var(--best);color:var(--best);font-size:.75rem;font-weight:600;white-space:nowrap}
thead button{all:unset;cursor:pointer;display:inline-flex;gap:4px;align-items:center;white-space:nowrap}
thead button:hover{color:var(--accent)}
thead button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
thead button::after{content:"↕";opacity:.45;font-size:.8em}
[aria-sort=ascending] button::after{content:"↑";opacity:1}
[aria-sort=descending] button::after{content:"↓";opacity:1}
.tools{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:center;margin-bottom:10px;font-size:.875rem}
.choice{border:0;padding:0;margin:0 0 10px;display:flex;flex-wrap:wrap;gap:6px;max-height:9.5rem;overflow-y:auto}
.choice legend{padding:0 0 4px;font-size:.8125rem;color:var(--muted)}
.choice label{cursor:pointer;position:relative}
.choice input{position:absolute;opacity:0;inset:0;margin:0;cursor:pointer}
.choice span{display:block;padding:5px 12px;border:1px solid var(--muted);border-radius:6px;font-size:.875rem}
.choice input:checked+span{background:var(--ink);color:var(--surface);border-color:var(--ink)}
.choice input:focus-visible+span{outline:2px solid var(--accent);outline-offset:2px}
#tip{position:fixed;z-index:5;max-width:min(320px,calc(100vw - 24px));pointer-events:none;background:var(--ink);color:var(--surface);border-radius:6px;padding:8px 11px;font-size:.8125rem;line-height:1.45;left:0;top:0}
#tip b{display:block}
details{margin-top:12px}
.terms{margin:6px 0 0}
.terms div{display:block;padding:3px 0}
.terms dt{display:inline;color:var(--ink);font-weight:600}
.terms dd{display:inline;text-align:left;color:var(--muted)}
summary{cursor:pointer;font-size:.875rem;color:var(--accent);padding:4px 0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(290px,100%),1fr));gap:18px}
pre{background:var(--page);border:1px solid var(--line);border-radius:6px;padding:12px;overflow-x:auto;font:.8125rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:0 0 10px}
.versions div{justify-content:start}
.versions dt{min-width:9em}
footer{color:var(--muted);font-size:.8125rem;padding-bottom:32px}
@media print{:root,:root[data-theme]{color-scheme:light;--page:#fff}body{font-size:11pt}header,main,footer{max-width:none;padding:0}
section{border:0;padding:0 0 8pt;margin:0 0 12pt}figure,tr,.cards{break-inside:avoid}h2,h3{break-after:avoid}
.scroll{overflow:visible}.tools,.choice,#theme,#copy{display:none}.map .plot{max-width:100%}th,td{padding:3pt 5pt;font-size:8pt;white-space:normal}pre{white-space:pre-wrap}
@page{margin:14mm}}
`;
