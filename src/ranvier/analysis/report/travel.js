// Spikes through all layers over time, and the path of a neuron's spikes.

const PAST = 0.62, FUTURE = 0.16;
const LATEST = 3, OLDER = 0.16; // of many spikes the latest are drawn fully

function travel(figure, run) {
  const clips = run.clips.map((clip) => unpackClip(run, clip));
  const synapses = run.synapses.map((layer) => ({
    ...layer, target: unpack(layer.target, Uint16Array), delay: unpack(layer.delay, Uint16Array), weight: unpack(layer.weight, Int16Array),
  }));
  const pick = Object.fromEntries(["clip", "layer", "neuron", "time", "play"].map((name) => [name, control(figure, name)]));
  const outputs = figure.querySelectorAll("output"), read = figure.querySelector(".read");
  const state = { clip: 0, layer: 0, neuron: undefined, time: 0, spiking: [] };
  let canvas = null, places = null, timer = null;

  clips.forEach((clip, i) => {
    const right = clip.said === clip.label ? "right" : `predicted ${clip.said}`;
    element("option", { value: i }, pick.clip, `${clip.label}${clip.speaker ? ", by " + (/^\d+$/.test(clip.speaker) ? "speaker " : "") + clip.speaker : ""} (${right})`);
  });
  run.layers.slice(0, -1).forEach((layer, i) => {
    if (clips.some((clip) => clip.rasters[i].step.length)) element("option", { value: i }, pick.layer, layer.name);
  });

  // Only neurons that fire in this clip can be followed. The first shown fires early and seldom, far from the edges.
  function chooseLayer(layer, wanted) {
    state.layer = layer;
    pick.layer.value = layer;
    const counts = new Map(), begins = new Map(), raster = clips[state.clip].rasters[layer], neurons = run.layers[layer].neurons;
    raster.neuron.forEach((neuron, i) => {
      counts.set(neuron, (counts.get(neuron) || 0) + 1);
      if (!begins.has(neuron)) begins.set(neuron, raster.step[i]);
    });
    state.spiking = [...counts.keys()].sort((a, b) => a - b);
    const strength = (neuron) => {
      let sum = 0;
      for (const s of synapses) if (s.from === layer) for (let i = 0; i < s.kept; i++) sum += Math.abs(s.weight[neuron * s.kept + i]);
      const seldom = counts.get(neuron) <= 3, early = begins.get(neuron) < clips[state.clip].length * 0.5;
      return sum * (seldom ? 4 : 1) * (early ? 4 : 1) * (Math.abs(neuron / neurons - 0.5) < 0.35 ? 2 : 1);
    };
    const best = wanted !== undefined && counts.has(wanted) ? wanted
      : state.spiking.reduce((a, b) => (a === undefined || strength(b) > strength(a) ? b : a), undefined);
    pick.neuron.max = Math.max(0, state.spiking.length - 1);
    pick.neuron.disabled = !state.spiking.length;
    pick.neuron.value = Math.max(0, state.spiking.indexOf(best));
    state.neuron = best;
  }

  function chooseClip(index) {
    state.clip = index;
    pick.time.max = clips[index].steps - 1;
    chooseLayer(state.layer, state.neuron);
  }

  if (!pick.layer.options.length) { pick.layer.disabled = true; pick.neuron.disabled = true; }
  // a hidden layer, if what it fires is delayed at all
  state.layer = synapses.some((s) => s.from === 1 && s.delay.some((delay) => delay > 0)) ? 1 : 0;
  if (![...pick.layer.options].some((option) => Number(option.value) === state.layer)) state.layer = 0;
  chooseClip(0);
  state.time = clips[0].steps - 1; // the end: all spikes and the answer
  pick.time.value = state.time;

  pick.clip.onchange = () => { chooseClip(Number(pick.clip.value)); paint(); };
  pick.layer.onchange = () => { chooseLayer(Number(pick.layer.value)); paint(); };
  pick.neuron.oninput = () => { state.neuron = state.spiking[Number(pick.neuron.value)]; paint(); };
  pick.time.oninput = () => { state.time = Number(pick.time.value); paint(); };
  pick.play.onclick = () => {
    if (timer !== null) { stop(); return; }
    if (state.time >= clips[state.clip].steps - 1) state.time = -1;
    pick.play.textContent = "Pause";
    const steps = clips[state.clip].steps, stride = Math.max(1, Math.round(steps / 150));
    timer = setInterval(() => {
      state.time = Math.min(clips[state.clip].steps - 1, state.time + stride);
      pick.time.value = state.time;
      if (state.time >= clips[state.clip].steps - 1) stop();
      paint();
    }, 90);
  };
  function stop() { clearInterval(timer); timer = null; pick.play.textContent = "Play"; paint(); }

  function paint() {
    if (canvas) drawClip(canvas, places, run, clips[state.clip], synapses, state);
    const clip = clips[state.clip], at = state.time * run.dt;
    state.time = Math.min(state.time, clip.steps - 1);
    outputs[0].textContent = state.neuron === undefined ? "none fires" : `no. ${state.neuron} of 0 … ${run.layers[state.layer].neurons - 1}`;
    outputs[1].textContent = `${+at.toFixed(3)} ms`;
    pick.time.setAttribute("aria-valuetext", `${at} ms`);
    pick.neuron.setAttribute("aria-valuetext", state.neuron === undefined ? "none" : `neuron ${state.neuron}`);
    if (timer === null) read.textContent = tell(run, clip, synapses, state);
  }

  return (host) => {
    host.replaceChildren();
    places = layout(host.clientWidth, run, clips);
    canvas = element("canvas", { role: "img", "aria-label": host.dataset.label }, host);
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    canvas.width = Math.round(places.width * ratio); canvas.height = Math.round(places.height * ratio);
    canvas.style.width = places.width + "px"; canvas.style.height = places.height + "px";
    canvas.onclick = (event) => {
      const found = nearest(places, run, clips[state.clip], event.offsetX, event.offsetY);
      if (!found) { state.time = Math.max(0, Math.min(clips[state.clip].steps - 1, Math.floor(places.step(event.offsetX, clips[state.clip])))); pick.time.value = state.time; }
      else chooseLayer(found.layer, found.neuron);
      paint();
    };
    paint();
  };
}

function unpackClip(run, clip) {
  return {
    ...clip,
    share: unpack(clip.share, Uint8Array),
    frames: clip.frames ? unpack(clip.frames, Uint8Array) : null,
    rasters: clip.rasters.map((raster) => ({ of: raster.of, step: unpack(raster.step, Uint16Array), neuron: unpack(raster.neuron, Uint16Array) })),
  };
}

function spikesOf(clip, state) {
  const raster = clip.rasters[state.layer], found = [];
  raster.neuron.forEach((neuron, i) => { if (neuron === state.neuron) found.push(raster.step[i]); });
  return found;
}

// What the output says up to a step: the score of each class as its network has it, and the first among them.
function saying(run, clip, time) {
  const many = run.classes.length, sums = new Float64Array(many);
  for (let t = run.scores === "last" ? time : 0; t <= time; t++) for (let c = 0; c < many; c++) {
    const share = clip.share[t * many + c];
    sums[c] = run.scores === "max" ? Math.max(sums[c], share) : sums[c] + share;
  }
  const total = sums.reduce((a, b) => a + b, 0) || 1, end = time >= clip.steps - 1;
  // shares are rounded here: at the end the network's own word counts
  const best = end ? run.classes.indexOf(clip.said) : sums.indexOf(Math.max(...sums));
  const share = ["sum", "max", "last"].includes(run.scores) ? "" : ` with ${percent(sums[best] / total)}`; // voltages have none
  return { name: Math.max(...sums) > Math.min(...sums) ? run.classes[best] : null, share };
}

// The connection of a neuron's strongest synapse, and its place there; each connection has them in order.
function strongestOf(synapses, state) {
  return synapses.filter((s) => s.from === state.layer).map((s) => [s, state.neuron * s.kept])
    .reduce((a, b) => (Math.abs(b[0].weight[b[1]]) > Math.abs(a[0].weight[a[1]]) ? b : a));
}

function called(layer) { return layer.name === "hidden layer" || layer.name === "input" ? `the ${layer.name}` : layer.name; }

function tell(run, clip, synapses, state) {
  const said = saying(run, clip, state.time), parts = [];
  const follow = state.neuron === undefined ? [] : spikesOf(clip, state).filter((step) => step <= state.time);
  if (state.neuron !== undefined) {
    let first = `Neuron ${state.neuron} of ${called(run.layers[state.layer])} `;
    if (!follow.length) first += "has not fired yet.";
    else {
      const [s, strongest] = strongestOf(synapses, state), delay = s.delay[strongest] * run.dt, target = s.target[strongest], next = s.to;
      const name = next === run.layers.length - 1 ? `the output “${run.classes[target]}”` : `neuron ${target} of ${called(run.layers[next])}`;
      const when = follow.map((step) => +(step * run.dt).toFixed(3));
      first += `fired at ${when.length > 4 ? when.slice(-4).join(", ") + " ms (and before)" : when.join(", ") + " ms"}; `;
      if (!s.weight[strongest]) first += "it has no synapse.";
      else first += run.longest ? `its strongest synapse takes ${+delay.toFixed(3)} ms to ${name}.` : `its strongest synapse leads to ${name}.`;
    }
    parts.push(first);
  }
  if (said.name === null) parts.push("No class leads yet.");
  else if (state.time < clip.steps - 1) parts.push(`So far “${said.name}” leads${said.share}.`);
  else parts.push(`Prediction: “${said.name}”${said.share}${said.name === clip.label ? ", right" : `; true class “${clip.label}”`}.`);
  return parts.join(" ");
}

function layout(width, run, clips) {
  const narrow = width < 560, classes = run.classes.length, left = narrow ? 64 : 112, right = 8;
  const row = classes <= 24 ? 13 : classes <= 40 ? 9 : 5;
  const heights = run.layers.map((layer, i) => (i === run.layers.length - 1 ? Math.max(40, classes * row) : layer.neurons <= 16 ? 16 * layer.neurons : Math.min(narrow ? 130 : 160, Math.max(90, layer.neurons))));
  const panels = [];
  let top = 20;
  for (const height of heights) { panels.push({ top, height }); top += height + 26; }
  const longest = Math.max(...clips.map((clip) => clip.steps));
  return {
    width, height: top + 4, left, right, row, narrow, panels, longest,
    x(step, clip) { return left + ((step + 0.5) / clip.steps) * (width - left - right); },
    step(x, clip) { return ((x - left) / (width - left - right)) * clip.steps; },
    // low channels and neurons lie below; classes are read from the top
    y(layer, neuron) {
      const p = panels[layer], many = run.layers[layer].neurons, rank = (neuron + 0.5) / many;
      return p.top + (layer === run.layers.length - 1 ? rank : 1 - rank) * p.height;
    },
  };
}

function nearest(places, run, clip, x, y) {
  let found = null, best = 12 ** 2;
  clip.rasters.forEach((raster, layer) => {
    raster.step.forEach((step, i) => {
      const far = (places.x(step, clip) - x) ** 2 + (places.y(layer, raster.neuron[i]) - y) ** 2;
      if (far < best) { best = far; found = { layer, neuron: raster.neuron[i] }; }
    });
  });
  return found;
}

function drawClip(canvas, places, run, clip, synapses, state) {
  const pen = canvas.getContext("2d"), ratio = canvas.width / places.width, style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const [ink, muted, faint, line, accent, card] = ["ink", "muted", "faint", "line", "accent", "card"].map(colour);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, places.width, places.height);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const wide = (places.width - places.left - places.right) / clip.steps, last = run.layers.length - 1;
  const now = places.x(state.time, clip) + wide / 2, end = places.left + clip.length * wide;

  run.layers.forEach((layer, number) => {
    const p = places.panels[number];
    pen.globalAlpha = 1;
    pen.fillStyle = card; pen.fillRect(places.left, p.top, places.width - places.left - places.right, p.height);
    pen.strokeStyle = line; pen.lineWidth = 1; pen.strokeRect(places.left + 0.5, p.top + 0.5, places.width - places.left - places.right - 1, p.height - 1);
    if (number === last) return;
    pen.fillStyle = muted; pen.textAlign = "right"; pen.textBaseline = "middle";
    let free = Infinity; // from the lowest up, none over another
    const scale = number === 0 && run.ticks ? run.ticks : ticks(0, layer.neurons - 1, 3).filter(Number.isInteger).map((n) => [n, String(n)]);
    for (const [neuron, label] of [...scale].sort((a, b) => a[0] - b[0])) {
      const y = Math.max(p.top + 5, Math.min(p.top + p.height - 5, places.y(number, neuron)));
      if (free - y < 13) continue;
      free = y;
      pen.fillText(label, places.left - 8, y);
      pen.fillRect(places.left - 4, places.y(number, neuron) - 0.5, 4, 1);
    }
    const high = Math.max(2, p.height / layer.neurons), mark = Math.max(1.5, Math.min(wide * 0.5, 4));
    if (number === 0 && clip.frames) {
      pen.fillStyle = ink;
      for (let t = 0; t < clip.length; t++) for (let i = 0; i < layer.neurons; i++) {
        const value = clip.frames[t * layer.neurons + i] / 255;
        if (value < 0.02) continue;
        pen.globalAlpha = value * (t <= state.time ? 0.9 : 0.3);
        pen.fillRect(places.left + t * wide, p.top + (1 - (i + 1) / layer.neurons) * p.height, wide + 0.3, p.height / layer.neurons + 0.3);
      }
    }
    const raster = clip.rasters[number];
    pen.fillStyle = ink;
    raster.step.forEach((step, i) => {
      pen.globalAlpha = step <= state.time ? PAST : FUTURE;
      pen.fillRect(places.x(step, clip) - mark / 2, places.y(number, raster.neuron[i]) - Math.min(high, 10) / 2, mark, Math.min(high, 10));
    });
  });

  // the output: stronger where it says that class
  const p = places.panels[last], many = run.classes.length, said = saying(run, clip, state.time).name;
  for (let c = 0; c < many; c++) {
    const y = p.top + (c / many) * p.height, high = p.height / many, name = run.classes[c];
    for (let t = 0; t < clip.steps; t++) {
      const share = clip.share[t * many + c] / 255;
      if (share < 0.02) continue;
      pen.globalAlpha = share * (t <= state.time ? 1 : FUTURE);
      pen.fillStyle = name === said ? accent : ink;
      pen.fillRect(places.left + t * wide, y + 0.5, wide + 0.3, high - 1);
    }
    if (places.row >= 9) {
      pen.globalAlpha = 1; pen.fillStyle = name === said ? accent : name === clip.label ? ink : muted;
      pen.textAlign = "right"; pen.textBaseline = "middle";
      pen.font = `${name === said || name === clip.label ? "600 " : ""}${Math.min(12, places.row - 1)}px ${getComputedStyle(document.body).fontFamily}`;
      let cut = name, kept = name.length - 3; // from the middle: names often differ in their last letter
      while (kept > 1 && pen.measureText(cut).width > places.left - 10) cut = `${name.slice(0, kept--)}…${name.slice(-2)}`;
      pen.fillText(cut, places.left - 8, y + high / 2);
    }
  }
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;

  pen.globalAlpha = 1; pen.strokeStyle = faint; pen.setLineDash([2, 3]); pen.beginPath();
  pen.moveTo(end, places.panels[0].top); pen.lineTo(end, p.top + p.height); pen.stroke(); pen.setLineDash([]);
  drawArrows(pen, places, run, clip, synapses, state, { accent, card, wide });
  run.layers.forEach((layer, number) => { // over the arrows, so that it can be read
    const size = number === last ? "" : `, ${layer.neurons} ${number ? "neurons" : "channels"}`, text = layer.name + size, { top } = places.panels[number];
    pen.globalAlpha = 0.85; pen.fillStyle = colour("paper"); pen.fillRect(places.left, top - 18, pen.measureText(text).width + 4, 16);
    pen.globalAlpha = 1; pen.fillStyle = muted; pen.textAlign = "left"; pen.textBaseline = "bottom"; pen.fillText(text, places.left, top - 3);
  });
  pen.strokeStyle = accent; pen.globalAlpha = 0.9; pen.lineWidth = 1;
  pen.beginPath(); pen.moveTo(now, places.panels[0].top); pen.lineTo(now, p.top + p.height); pen.stroke();

  pen.globalAlpha = 1; pen.fillStyle = muted; pen.textBaseline = "top";
  const bottom = p.top + p.height + 5, most = Math.max(2, Math.floor(places.width / 110));
  for (const value of ticks(0, clip.steps * run.dt, most)) {
    const x = places.left + (value / run.dt) * wide;
    if (x > places.width - places.right - 14) continue;
    pen.textAlign = value === 0 ? "left" : "center";
    pen.fillText(value === 0 ? "0 ms" : short(value), x, bottom);
  }
  if (end < places.width - 70) { pen.textAlign = "left"; pen.textBaseline = "bottom"; pen.fillText("clip ends", end + 5, places.panels[0].top + places.panels[0].height - 3); }
}

function drawArrows(pen, places, run, clip, synapses, state, look) {
  if (state.neuron === undefined) return;
  const y0 = places.y(state.layer, state.neuron), fired = clip.rasters.map(() => new Set());
  clip.rasters.forEach((raster, layer) => raster.step.forEach((step, i) => fired[layer].add(step * 65536 + raster.neuron[i])));
  pen.strokeStyle = look.accent; pen.fillStyle = look.accent;
  pen.globalAlpha = 0.35; pen.lineWidth = 1;
  pen.beginPath(); pen.moveTo(places.left, y0); pen.lineTo(places.width - places.right, y0); pen.stroke();
  const starts = spikesOf(clip, state), left = starts.filter((start) => start <= state.time), latest = left[Math.max(0, left.length - LATEST)];
  for (const start of starts) {
    const x0 = places.x(start, clip), gone = state.time - start, seen = start < latest ? OLDER : 1;
    pen.globalAlpha = gone >= 0 ? seen : 0.4;
    pen.beginPath(); pen.arc(x0, y0, 4, 0, 7); pen.fill();
    if (gone < 0) continue;
    for (const s of synapses) if (s.from === state.layer) for (let i = 0; i < s.kept; i++) {
      const place = state.neuron * s.kept + i, delay = s.delay[place], target = s.target[place], weight = s.weight[place] / 127;
      if (!weight || start + delay >= clip.steps) continue;
      const x1 = places.x(start + delay, clip), y1 = places.y(s.to, target), way = delay === 0 ? 1 : Math.min(1, gone / delay);
      drawArrow(pen, { x0, y0, x1, y1, way, weight, seen, card: look.card, accent: look.accent, fires: fired[s.to]?.has((start + delay) * 65536 + target) });
    }
  }
  pen.globalAlpha = 1;
}

function drawArrow(pen, { x0, y0, x1, y1, way, weight, seen, card, accent, fires }) {
  pen.globalAlpha = seen * (0.6 + 0.4 * Math.abs(weight));
  pen.lineWidth = 1.4 + 1.6 * Math.abs(weight);
  pen.setLineDash(weight < 0 ? [4, 3] : []);
  const x = x0 + (x1 - x0) * way, y = y0 + (y1 - y0) * way;
  pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x, y); pen.stroke(); pen.setLineDash([]);
  if (way < 1) {
    const angle = Math.atan2(y1 - y0, x1 - x0);
    pen.beginPath(); pen.moveTo(x + 5 * Math.cos(angle), y + 5 * Math.sin(angle));
    for (const turn of [2.5, -2.5]) pen.lineTo(x + 5 * Math.cos(angle + turn), y + 5 * Math.sin(angle + turn));
    pen.fill();
    return;
  }
  pen.globalAlpha = seen; pen.lineWidth = 1.6;
  pen.beginPath(); pen.arc(x1, y1, 4, 0, 7);
  if (fires) pen.fill();
  else { pen.fillStyle = card; pen.fill(); pen.fillStyle = accent; pen.stroke(); }
}
