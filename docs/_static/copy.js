// A copy button on each code block; of a console block, it copies the commands only.
for (const block of document.querySelectorAll("div.highlight")) {
  const code = block.querySelector("pre");
  if (code && code.scrollWidth > code.clientWidth) code.tabIndex = 0; // so that arrow keys scroll it
  if (!code || !navigator.clipboard) continue;
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = code.textContent;
    const isConsole = block.parentElement.classList.contains("highlight-console");
    const commands = [...text.matchAll(/^\$ ((?:.*\\\n)*.*)$/gm)].map((match) => match[1]).join("\n");
    await navigator.clipboard.writeText(isConsole ? commands : text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  block.append(button);
}
