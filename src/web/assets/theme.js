// Dark and light: as the system prefers, or as chosen with the switch. Charts
// ask here for colours, since a canvas knows no style sheet.

const CHOICES = ["auto", "light", "dark"];
const NAMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const themeListeners = new Set();
let colorsSeen = new Map();

function storedTheme() {
  try {
    const stored = localStorage.getItem("bespoke-theme");
    return CHOICES.includes(stored) ? stored : "auto";
  } catch {
    return "auto"; // A page from a file may have no storage.
  }
}

function applyTheme(choice, button) {
  document.documentElement.dataset.theme = choice;
  button.textContent = NAMES[choice];
  colorsSeen = new Map();
  for (const listener of themeListeners) listener();
}

export function initTheme(button) {
  let choice = storedTheme();
  applyTheme(choice, button);
  button.addEventListener("click", () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    try {
      localStorage.setItem("bespoke-theme", choice);
    } catch {
      // Chosen for this visit only.
    }
    applyTheme(choice, button);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyTheme(choice, button));
}

// Calls `listener` whenever colours change; returns what ends that.
export function onTheme(listener) {
  themeListeners.add(listener);
  return () => themeListeners.delete(listener);
}

// A colour of the style sheet as a canvas takes it.
export function color(name) {
  if (!colorsSeen.has(name)) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    colorsSeen.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return colorsSeen.get(name);
}

// Colours that stay apart for the colour-blind (Okabe and Ito 2008), for series.
export function seriesColor(index) {
  return color(`series-${index % 8}`);
}
