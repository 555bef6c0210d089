// Sorts and filters the tables, and reads a figure's points. Without it the page says the same.
(() => {
  "use strict";
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const plain = (text) => text.replace(/\s+/g, " ").trim();

  // Sorting: a press sorts up, the next one down, the third restores the report's order. What is missing stays last.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.sort === undefined) return plain(cell.textContent);
    return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
  };
  const order = (one, other) =>
    typeof one === "number" && typeof other === "number" ? one - other
      : String(one).localeCompare(String(other), "en", { numeric: true });
  const sort = (table, rows, column, direction) => {
    const sorted = rows.map((row, at) => [direction ? key(row, column) : at, at, row]);
    sorted.sort(([one, first], [other, second]) => {
      if (one === null || other === null) return (one === null) - (other === null) || first - second;
      return order(one, other) * (direction === "descending" ? -1 : 1) || first - second;
    });
    table.tBodies[0].append(...sorted.map(([, , row]) => row));
  };
  const sortable = (table, rows) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const direction = { ascending: "descending", descending: "" }[before] ?? "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (direction) head.setAttribute("aria-sort", direction);
        sort(table, rows, column, direction);
      });
    });
  };

  // Filtering: a row is shown if it has every word that was typed.
  const filterable = (table, rows) => {
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const label = make("label", { textContent: "Filter rows " });
    const count = make("output", { textContent: `${rows.length} rows` });
    const tools = make("p", { className: "tools" });
    label.append(field);
    tools.append(label, " ", count);
    table.parentElement.before(tools);
    const texts = rows.map((row) => [...row.cells].map((cell) => plain(cell.textContent)).join(" ").toLowerCase());
    field.addEventListener("input", () => {
      const words = plain(field.value.toLowerCase()).split(" ");
      rows.forEach((row, at) => { row.hidden = !words.every((word) => texts[at].includes(word)); });
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    });
  };

  for (const table of document.querySelectorAll(".scroll > table")) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length > 1) sortable(table, rows);
    if (rows.length > 3) filterable(table, rows);
  }

  // Points: the pointer, or Tab and the arrow keys, reads a point's row and lights it wherever it stands.
  const light = (name) => {
    for (const one of document.querySelectorAll(".point, tbody tr")) {
      one.classList.toggle("lit", name === plain(one.dataset.name ?? one.cells[0].textContent));
    }
  };
  const readable = (figure, points) => {
    const drawing = figure.querySelector(".drawing");
    const note = make("p", { className: "reading", hidden: true, ariaHidden: "true" });  // a point's label says it too
    figure.append(note);
    drawing.setAttribute("role", "group");
    drawing.querySelector("svg").removeAttribute("aria-hidden");
    points.forEach((point, at) => {
      const title = point.querySelector("title");
      point.setAttribute("role", "img");
      point.setAttribute("aria-label", title.textContent);
      point.setAttribute("tabindex", at ? "-1" : "0");
      title.remove();
    });
    const show = (point) => {
      note.hidden = !point;
      light(point && plain(point.dataset.name));
      if (!point) return;
      note.textContent = point.getAttribute("aria-label");
      const around = figure.getBoundingClientRect(), mark = point.getBoundingClientRect();
      const left = (mark.left + mark.right) / 2 - around.left - note.offsetWidth / 2;
      note.style.left = `${Math.max(0, Math.min(left, drawing.clientWidth - note.offsetWidth))}px`;
      note.style.top = `${mark.bottom - around.top + 6}px`;
    };
    const focused = () => points.find((point) => point === document.activeElement);
    figure.addEventListener("pointerover", (event) => {
      if (!event.target.closest(".reading")) show(event.target.closest(".point") ?? focused());
    });
    figure.addEventListener("pointerleave", () => show(focused()));
    drawing.addEventListener("focusin", () => show(focused()));
    drawing.addEventListener("focusout", () => show(null));
    drawing.addEventListener("keydown", (event) => {
      const at = points.indexOf(event.target);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (at < 0 || !step) return;
      event.preventDefault();
      const next = points[(at + step + points.length) % points.length];
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !note.hidden) show(null); });
  };
  for (const figure of document.querySelectorAll("figure")) {
    const points = [...figure.querySelectorAll(".point")];
    if (points.length) readable(figure, points);
  }
})();
