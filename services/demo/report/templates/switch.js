// The page works without this: it names the page's language, and keeps the reader's place.
(() => {
  const choices = [...document.querySelectorAll("input.language")];
  const shown = () => choices.find((choice) => choice.checked);
  const sections = (choice) =>
    [...document.querySelectorAll(`main[lang="${choice.value}"] [data-section]`)];
  let place = { name: "top", below: 0 };
  const remember = () => {
    const passed = sections(shown()).filter((one) => one.getBoundingClientRect().top <= 80);
    const one = passed.at(-1);
    if (one) place = { name: one.dataset.section, below: one.getBoundingClientRect().top };
  };
  const apply = () => {
    document.documentElement.lang = shown().value;
    document.title = shown().dataset.title;
  };
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      apply();
      const one = sections(shown()).find((section) => section.dataset.section === place.name);
      if (one) window.scrollTo(0, window.scrollY + one.getBoundingClientRect().top - place.below);
    });
  }
  window.addEventListener("scroll", remember, { passive: true });
  const asked = choices.find((choice) => `#${choice.id.replace("language-", "")}` === location.hash);
  if (asked) asked.checked = true;
  apply();
})();
