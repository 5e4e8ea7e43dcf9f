// Before the first paint: the theme that was chosen, else the system's, whenever that changes.
const system = matchMedia('(prefers-color-scheme: dark)');
const paint = () => {
  document.documentElement.dataset.theme = localStorage.getItem('floor-theme') ?? (system.matches ? 'dark' : 'light');
};
paint();
system.addEventListener('change', paint);
