"use strict";
(() => {
  // Text enters the page by textContent and cloned nodes only, so class names stay text.
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, text, look) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (look) node.className = look;
    return node;
  };
  const chosen = { class: 0, source: 0, metric: 0 };
  const selects = ["class", "source", "metric"]
    .map((what) => [what, at("choose-" + what)])
    .filter(([, select]) => select);
  const buttons = [...document.querySelectorAll(".picker button")];
  const panels = [...document.querySelectorAll(".panel")];
  const hasContrasts = "contrasts" in data;
  const rowNames = (hasContrasts ? ["contrast"] : []).concat("patterns" in data ? data.sources : []);

  const showPanels = () => {
    for (const panel of panels) {
      const of = (what) => !(what in panel.dataset) || +panel.dataset[what] === chosen[what];
      panel.hidden = !(of("source") && of("metric"));
    }
  };

  const showLarge = () => {
    const cards = rowNames.map((name, i) => {
      const place = at(`p-${i}-${chosen.class}`);
      if (!place) return null;
      const card = make("figure");
      for (const node of place.childNodes) card.append(node.cloneNode(true));
      const caption = make("figcaption");
      caption.append(make("bdi", name));
      const own = hasContrasts && i === 0 ? -1 : i - (hasContrasts ? 1 : 0);
      if (own === chosen.source && data.sources.length > 1) {
        card.className = "chosen";
        caption.append(make("span", " (chosen)"));
      }
      card.append(caption);
      return card;
    });
    const large = at("large");
    large.replaceChildren(...cards.filter(Boolean));
    // Few pictures stay close to each other, so that the eye can compare them.
    const side = large.querySelector(".bars") ? 24 : 18;
    large.style.maxWidth = `${Math.min(side * large.children.length, 72)}rem`;
  };

  // Numbers are copied from the tables, so the two cannot differ.
  const showNumbers = () => {
    const table = at(`t-${chosen.source}-${chosen.metric}`);
    const list = at("numbers");
    const sentence = [`Class ${data.classes[chosen.class]}`];
    if (data.sources.length) sentence.push(data.sources[chosen.source]);
    if (data.metrics.length) sentence.push(data.metrics[chosen.metric].name);
    list.replaceChildren();
    let told = sentence.join(", ");
    if (table) {
      const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      const cells = [...table.tBodies[0].rows[chosen.class].cells].map((cell) => cell.textContent);
      for (let i = 1; i < heads.length; i += 1) {
        const pair = make("div");
        const value = make("dd");
        value.append(make("bdi", cells[i]));
        pair.append(make("dt", heads[i]), value);
        list.append(pair);
      }
      const main = ["similarity", "rank"].filter((name) => heads.includes(name));
      if (main.length) {
        told += ": " + main.map((name) => `${name} ${cells[heads.indexOf(name)]}`).join(", ");
      }
    }
    const failed = "reached" in data && data.reached[chosen.source][chosen.class] === false;
    at("told").textContent = `${told}${failed ? "; the pattern did not reach its class" : ""}.`;
  };

  const showAlike = () => {
    const line = at("alike");
    line.textContent = "";
    const table = at(`m-${chosen.source}-${chosen.metric}`);
    const row = "rows" in data ? data.rows.indexOf(chosen.class) : -1;
    if (!table || row < 0) return;
    const raw = data.matrix[chosen.source][chosen.metric][row];
    const sign = data.metrics[chosen.metric].higher ? -1 : 1;
    const value = (i) => (raw[i] === "Infinity" ? Infinity : raw[i] === "-Infinity" ? -Infinity : raw[i]);
    const order = raw.map((_, i) => i).filter((i) => raw[i] !== null);
    order.sort((a, b) => (value(a) === value(b) ? 0 : sign * (value(a) - value(b))));
    const cells = table.tBodies[0].rows[row].cells;
    line.append("Contrasts most like this pattern: ");
    order.slice(0, 5).forEach((i, n) => {
      const name = make("bdi", data.classes[data.columns[i]]);
      line.append(n ? ", " : "", name, ` (${cells[i + 1].textContent.replace("*", "")})`);
    });
    line.append(".");
  };

  const markClass = () => {
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(+button.dataset.class === chosen.class));
    }
    for (const row of document.querySelectorAll(".matrix tr[data-class]")) {
      row.classList.toggle("now", +row.dataset.class === chosen.class);
    }
    for (const body of document.querySelectorAll(".numbers tbody")) {
      [...body.rows].forEach((row, i) => row.classList.toggle("now", i === chosen.class));
    }
  };

  const show = () => {
    for (const [what, select] of selects) select.value = String(chosen[what]);
    showPanels();
    showLarge();
    showNumbers();
    showAlike();
    markClass();
  };

  for (const [what, select] of selects) {
    select.addEventListener("change", () => {
      chosen[what] = +select.value;
      show();
    });
  }
  for (const button of buttons) {
    button.addEventListener("click", () => {
      chosen.class = +button.dataset.class;
      show();
    });
  }
  // Cells too small for a number say it when pointed at.
  for (const table of document.querySelectorAll(".matrix.dense")) {
    table.addEventListener("mouseover", ({ target }) => {
      if (target.tagName !== "TD" || !target.textContent) return;
      const pattern = data.classes[+target.parentNode.dataset.class];
      const contrast = data.classes[data.columns[target.cellIndex - 1]];
      target.title = `pattern ${pattern}, contrast ${contrast}: ${target.textContent}`;
    });
  }
  at("bar").hidden = false;
  at("explorer").hidden = false;
  show();
})();
