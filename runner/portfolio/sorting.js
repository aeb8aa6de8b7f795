"use strict";
// m9 before m10.
const names = new Intl.Collator("en", { numeric: true });
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = head.querySelector("button"), isNumber = head.classList.contains("number");
  button.addEventListener("click", () => {
    const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
    // First what is large, and names from A; then the other way round.
    const before = head.getAttribute("aria-sort"), down = before ? before === "ascending" : isNumber;
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNumber ? x - y : names.compare(x, y);
      return down ? -order : order;
    });
    for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
