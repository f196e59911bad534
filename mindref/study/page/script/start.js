// Unpacks the program of the page and runs it. The policy of the page names the hash of the program.

function showDamage() {
  const box = document.getElementById("selfcheck");
  document.documentElement.dataset.selfcheck = "fail";
  document.querySelector("footer").hidden = false;
  box.className = "fails";
  box.textContent = "This file is damaged: its program cannot be run.";
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

document.addEventListener("securitypolicyviolation", showDamage); // a changed program
try {
  const program = document.createElement("script");
  program.type = "module";
  program.textContent = await unpack(document.getElementById("program").textContent);
  document.body.append(program);
} catch {
  showDamage();
}
