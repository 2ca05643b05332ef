// Before the first paint, so that a chosen theme does not flash the other one. Not inline: the page's policy allows no inline script.
try {
  const theme = localStorage.getItem('wirelake.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme holds.
}
