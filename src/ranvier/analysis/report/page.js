// Every figure of the page is drawn when it has a width, and again when that or the colours change.

const DRAWINGS = { learning, overlay, delays, strength, rates, confusion, travel };
const RUNS = JSON.parse(document.getElementById("report-data").textContent);
const painters = new Map();

function control(figure, name) { return figure.querySelector(`[data-control="${name}"]`); }

function redraw(figure) {
  const host = figure.querySelector(".drawing"), width = host.clientWidth;
  if (!width) return;
  if (!painters.has(figure)) {
    painters.set(figure, DRAWINGS[figure.dataset.draw](figure, RUNS[figure.dataset.run], RUNS));
    figure.dataset.ready = "yes";
  }
  host.dataset.width = width;
  painters.get(figure)(host);
  // a drawing of many parts is one picture to a screen reader
  if (!host.querySelector("[role=img]")) return;
  host.setAttribute("role", "group");
  host.setAttribute("aria-label", host.dataset.label);
}

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.clientWidth && Number(target.dataset.width) !== target.clientWidth) redraw(target.closest("figure"));
  }
});
for (const figure of document.querySelectorAll("figure[data-draw]")) watcher.observe(figure.querySelector(".drawing"));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const figure of painters.keys()) redraw(figure);
});
// a link to a run opens it
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const folded = target && target.closest("details");
  if (folded) folded.open = true;
}
window.addEventListener("hashchange", openTarget);
openTarget();
