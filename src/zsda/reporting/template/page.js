"use strict";
// Without this script the page shows every picture and table; with it two pictures of a scene are compared under a slider.

for (const gallery of document.querySelectorAll(".gallery")) {
  const find = (selector) => gallery.querySelector(selector);
  const scenes = [...gallery.querySelectorAll(".scene")];
  const pictures = scenes.map((scene) => new Map([...scene.querySelectorAll("img")].map((img) => [img.dataset.title, img])));
  const titles = [...new Set(pictures.flatMap((views) => [...views.keys()]))];
  const [left, right, which, slider] = [find(".left"), find(".right"), find(".which"), find("input")];

  const fill = (select, texts) => select.replaceChildren(...texts.map((text, number) => new Option(text, String(number))));
  fill(left, titles);
  fill(right, titles);
  fill(which, scenes.map((scene, number) => `${number + 1}: ${scene.dataset.name}`));
  left.value = String(Math.max(0, titles.indexOf(gallery.dataset.first)));
  right.value = String(Math.max(0, titles.indexOf(gallery.dataset.second)));

  const put = (target, select) => {
    const views = pictures[which.selectedIndex];
    const source = views.get(titles[select.selectedIndex]) || [...views.values()][0];
    target.src = source.src;
    target.alt = source.alt;
    target.className = `${target.classList[0]}${source.className ? ` ${source.className}` : ""}`;
  };
  const show = () => {
    put(find(".above"), left);
    put(find(".below"), right);
    find(".note").textContent = scenes[which.selectedIndex].dataset.note;
  };
  const slide = () => find(".stage").style.setProperty("--at", `${slider.value}%`);
  const step = (by) => {
    which.selectedIndex = (which.selectedIndex + by + scenes.length) % scenes.length;
    show();
  };
  slider.addEventListener("input", slide);
  for (const select of [left, right, which]) select.addEventListener("change", show);
  find(".previous").addEventListener("click", () => step(-1));
  find(".next").addEventListener("click", () => step(1));

  scenes.forEach((scene, number) => {
    for (const img of scene.querySelectorAll("img")) {
      const open = () => {
        which.selectedIndex = number;
        right.selectedIndex = titles.indexOf(img.dataset.title);
        show();
        find(".viewer").scrollIntoView({ block: "nearest" });
        slider.focus({ preventScroll: true });
      };
      img.tabIndex = 0;
      img.setAttribute("role", "button");
      img.addEventListener("click", open);
      img.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          open();
        }
      });
    }
  });
  find(".viewer").hidden = false;
  show();
  slide();
}

const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const now = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.style.colorScheme = now === "dark" ? "light" : "dark";
});
