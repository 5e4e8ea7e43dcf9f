// Before the first paint: the chosen theme, else the system's.
const chosen = localStorage.getItem('floor-theme');
if (chosen) document.documentElement.dataset.theme = chosen;
