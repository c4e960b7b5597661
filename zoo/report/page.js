// Shows the values of losses and scores at the step pointed at; a line's steps and values are beside its name, as text.
document.querySelectorAll(".charts[data-high]").forEach(box => {
  const low = +box.dataset.low, high = +box.dataset.high;
  const lines = [...box.querySelectorAll("[data-steps]")].map(line => ({
    shown: line.querySelector("b"), last: line.querySelector("b").textContent,
    steps: line.dataset.steps.split(" ").map(Number), values: line.dataset.values.split(" ")}));
  const cursors = [...box.querySelectorAll(".cursor")], told = [...box.querySelectorAll(".at")];
  const nearest = (steps, step) =>
    steps.reduce((best, s, i) => Math.abs(s - step) <= Math.abs(steps[best] - step) ? i : best, 0);
  const hide = () => {
    for (const line of lines) line.shown.textContent = line.last;
    for (const mark of [...cursors, ...told]) mark.hidden = true;
  };
  const show = event => {
    const band = event.target.closest(".band");
    if (!band) return hide();
    const plot = band.querySelector("svg").getBoundingClientRect();
    const part = (event.clientX - plot.left) / plot.width;
    if (part < 0 || part > 1) return hide();
    const wanted = low + part * (high - low);
    const step = lines.filter(line => band.contains(line.shown)).map(line => line.steps[nearest(line.steps, wanted)])
      .reduce((a, b) => Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a);
    for (const line of lines) line.shown.textContent = line.values[nearest(line.steps, step)];
    const left = (step - low) / (high - low) * 100 + "%";
    for (const mark of [...cursors, ...told]) { mark.hidden = false; mark.style.left = left; }
    for (const mark of told) mark.textContent = step.toLocaleString("en");
  };
  box.addEventListener("pointermove", show);
  box.addEventListener("pointerdown", show);
  box.addEventListener("pointerleave", hide);
});
