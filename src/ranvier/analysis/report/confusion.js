// What is mistaken for what: a square for every true class and answer, read by pointing, tapping or with the arrow keys.

// Pale enough for the number on it to be read in ink, or dark enough for it to be read in paper's colour.
function shade(share, right) {
  if (right && share > 0.5) return { opacity: 0.72 + 0.56 * (share - 0.5), ink: "var(--paper)" };
  return { opacity: right ? 0.1 + 0.35 * share : 0.1 + 0.4 * Math.sqrt(share), ink: "var(--ink)" };
}

function confusion(figure, run) {
  const names = run.classes, counts = run.confusion, many = names.length;
  let row = 0, column = 0;
  return (host) => {
    host.replaceChildren();
    const width = Math.min(host.clientWidth, 720), longest = Math.max(...names.map((name) => name.length));
    const label = Math.min(width * 0.3, 10 + 6.6 * Math.min(longest, 18)), size = Math.floor((width - label - 2) / many * 10) / 10;
    const written = size >= 11, side = written ? label : 8, foot = written ? label : 8, top = 3, height = many * size + foot + 4 + top;
    const svg = node("svg", { width, height, viewBox: `0 ${-top} ${width} ${height}`, role: "img", tabindex: 0,
      "aria-label": "Confusion matrix; the arrow keys move through it" }, host);
    const cut = (name) => (name.length > 18 ? name.slice(0, 17) + "…" : name);
    for (let i = 0; i < many; i++) {
      const sum = counts[i].reduce((a, b) => a + b, 0), y = i * size;
      if (written) {
        node("text", { x: side - 6, y: y + size / 2 + 4, "text-anchor": "end" }, svg, cut(names[i]));
        const x = side + i * size + size / 2 + 4, down = many * size + 6;
        node("text", { x, y: down, "text-anchor": "end", transform: `rotate(-90 ${x} ${down})` }, svg, cut(names[i]));
      }
      for (let j = 0; j < many; j++) {
        const never = i === j && sum && !counts[i][j];
        if (!counts[i][j] && !never) continue;
        const { opacity, ink } = shade(counts[i][j] / sum, i === j), x = side + j * size;
        if (never) node("rect", { class: "never", x: x + 1.5, y: y + 1.5, width: size - 3, height: size - 3 }, svg);
        else node("rect", { class: i === j ? "cell right" : "cell", x, y, width: size, height: size, opacity: opacity.toFixed(3) }, svg);
        if (size >= 22) node("text", { x: x + size / 2, y: y + size / 2 + 4, "text-anchor": "middle", style: `fill: ${ink}` }, svg, counts[i][j]);
      }
    }
    node("rect", { class: "grid", x: side, y: 0.5, width: many * size, height: many * size }, svg);
    const frame = node("rect", { class: "chosen", width: size, height: size, visibility: "hidden" }, svg);
    const show = () => {
      frame.setAttribute("x", side + column * size); frame.setAttribute("y", row * size); frame.setAttribute("visibility", "visible");
      const sum = counts[row].reduce((a, b) => a + b, 0);
      const what = row === column ? "right" : `predicted ${names[column]}`;
      figure.querySelector(".read").textContent = `${names[row]}: ${what} in ${counts[row][column]} of ${sum} clips.`;
    };
    const limit = (value) => Math.max(0, Math.min(many - 1, value));
    svg.onpointermove = svg.onclick = (event) => {
      const box = svg.getBoundingClientRect(), x = event.clientX - box.left - side, y = event.clientY - box.top - top;
      if (x < 0 || y < 0 || y > many * size) return;
      column = limit(Math.floor(x / size)); row = limit(Math.floor(y / size));
      show();
    };
    svg.onkeydown = (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      row = limit(row + move[0]); column = limit(column + move[1]);
      show();
    };
    svg.onfocus = show;
  };
}
