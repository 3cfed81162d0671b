// Several runs over each other: by colour and by dashes, the chosen one thick.

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "14 4", "4 2"], COLOURS = 8;

function overlay(figure, _, runs) {
  const shown = runs.filter((run) => run.curves.epoch.length), select = control(figure, "highlight");
  const accuracy = (run) => run.curves.validation_accuracy || run.curves.train_accuracy || [];
  const loss = (run) => run.curves.loss || [];
  if (!figure.dataset.ready && shown.length) {
    shown.forEach((run, place) => element("option", { value: place }, select, run.name));
    const right = shown.map((run) => run.right ?? -1);
    select.value = right.indexOf(Math.max(...right));
  }
  return (host) => {
    host.replaceChildren();
    if (!shown.length) { host.textContent = "No run has finished an epoch."; return; }
    const chosen = Number(select.value), high = Math.max(2, ...shown.map((run) => run.curves.epoch.at(-1)));
    const style = (place) => `run${place % COLOURS}${place === chosen ? " high" : ""}`, dash = (place) => DASHES[place % DASHES.length];
    legend(host, shown.map((run, place) => ({ name: run.name, style: style(place), dash: dash(place) })));
    const grid = element("div", { class: "panels wide" }, host), order = shown.map((_, place) => place).sort((a, b) => (a === chosen) - (b === chosen));
    const many = new Set(shown.map((run) => (run.classes || []).length)), guess = many.size === 1 && !many.has(0) ? 1 / [...many][0] : null;
    const rights = [...shown.flatMap((run) => finite(accuracy(run))), ...finite([guess])];
    const right = { low: Math.floor(Math.min(...rights) * 10) / 10, high: Math.min(1, Math.ceil(Math.max(...rights) * 10) / 10), format: (v) => (100 * v).toFixed(0) + "%" };
    const top = Math.max(0.01, ...shown.flatMap((run) => finite(loss(run))));
    for (const [title, values, y, height] of [["Accuracy", accuracy, right, 280], ["Loss on training clips", loss, { low: 0, high: top }, 200]]) {
      const box = panel(grid, title), c = chart(box, { height, x: { low: 1, high, whole: true, label: "epoch" }, y, label: title });
      if (values === accuracy && guess !== null) {
        node("line", { class: "guess", x1: c.left, x2: c.width - c.right, y1: c.y(guess), y2: c.y(guess) }, c.svg);
        node("text", { x: c.width - c.right, y: c.y(guess) - 4, "text-anchor": "end" }, c.svg, `chance: ${percent(guess)}`);
      }
      for (const place of order) {
        const { epoch } = shown[place].curves, series = values(shown[place]), kept = epoch.indexOf(shown[place].best);
        node("path", { class: "line " + style(place), "stroke-dasharray": dash(place), d: path(epoch, series, c.x, c.y) }, c.svg);
        if (values === accuracy && kept >= 0 && series[kept] !== null && series[kept] !== undefined) {
          node("circle", { class: "kept-dot " + style(place), r: place === chosen ? 5 : 3.5, cx: c.x(epoch[kept]), cy: c.y(series[kept]) }, c.svg);
        }
      }
    }
    const run = shown[chosen], kept = run.curves.epoch.indexOf(run.best), at = accuracy(run)[kept];
    figure.querySelector(".read").textContent = at === null || at === undefined ? "" : `${run.name}: epoch ${run.best} was kept, with ${percent(at)}.`;
    select.onchange = () => redraw(figure);
  };
}
