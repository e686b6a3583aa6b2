"use strict";
const field = document.getElementById("filter");
const told = document.getElementById("told");
const all = Array.from(document.querySelectorAll(".op"));
let due = 0;
function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const op of all) {
    const text = op.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    op.hidden = !fits;
    shown += fits;
  }
  for (const group of document.querySelectorAll("details.group")) {
    const some = group.querySelector(".op:not([hidden])") !== null;
    group.hidden = words.length > 0 && !some;
    if (words.length > 0 && some) group.open = true;
  }
  told.textContent = words.length ? `${shown.toLocaleString("en")} of ${all.length.toLocaleString("en")}` : "";
}
if (field) field.addEventListener("input", () => { clearTimeout(due); due = setTimeout(filter, 120); });
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  filter();
}
