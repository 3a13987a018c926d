// Lists the published versions of ../versions.json in the sidebar. A local build has no such file, and no list.
const versionSelect = document.getElementById("versions");
const siteRoot = new URL(document.documentElement.dataset.content_root, location.href);

async function showVersions() {
  const response = await fetch(new URL("../versions.json", siteRoot));
  const versions = response.ok ? await response.json() : [];
  const current = DOCUMENTATION_OPTIONS.VERSION;
  if (!versions.some((each) => each.version === current)) return;
  const latest = versions.find((each) => !each.prerelease);
  for (const each of versions) {
    const note = each.prerelease ? " (pre-release)" : each === latest ? " (latest)" : "";
    versionSelect.add(new Option(each.version + note, each.version));
  }
  // On pageshow, because the browser shows this page again, as it was, after Back.
  addEventListener("pageshow", () => (versionSelect.value = current));
  versionSelect.value = current;
  versionSelect.parentElement.hidden = false;
}

async function openVersion(version) {
  const root = new URL(`../${version}/`, siteRoot);
  const page = new URL(location.pathname.slice(siteRoot.pathname.length), root);
  const exists = await fetch(page, { method: "HEAD" }).then((response) => response.ok, () => false);
  location.assign(exists ? page.href + location.hash : new URL("index.html", root));
}

versionSelect.addEventListener("change", () => openVersion(versionSelect.value));
// Otherwise an arrow key changes the closed list, and leaves the page for the next version.
versionSelect.addEventListener("keydown", (event) => {
  if (!event.key.startsWith("Arrow") || !versionSelect.showPicker) return;
  event.preventDefault();
  versionSelect.showPicker();
});
if (location.protocol !== "file:") showVersions();
