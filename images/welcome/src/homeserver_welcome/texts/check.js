"use strict";

const check = document.getElementById("check");
const state = document.getElementById("state");

/* Whether a URL answers over a connection that this device trusts. */
async function reached(url, mode = "cors") {
  try {
    const answer = await fetch(url, { mode, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(8000) });
    return answer.ok || answer.type === "opaque";
  } catch {
    return false;
  }
}

function say(text, kind = "") {
  state.textContent = text;
  state.className = `state ${kind}`;
}

async function judge() {
  const { host, former, domain, address } = check.dataset;
  say("Checking …");
  if (await reached(`https://${host}/trust/reached`)) {
    say(former ? "✓ This device trusts the next authority." : "✓ This device trusts the home.", "done");
  } else if (!(await reached(`http://${host}/trust/reached`))) {
    say(`This device does not find the name ${host}, so its trust cannot be checked. Point *.${domain} at ${address} in the DNS of your router.`, "lacking");
  } else if (former && (await reached(former, "no-cors"))) {
    say("This device trusts the present authority, but not the next one yet.", "lacking");
  } else {
    say("This device does not trust the home yet.", "lacking");
  }
}

if (check) {
  /* An iPad calls itself a Mac, but has a touch screen. */
  const { pathname, search } = location;
  if (!search && navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1) {
    location.replace(`${pathname}?device=ios`);
  }
  const again = document.getElementById("again");
  again.hidden = false;
  again.addEventListener("click", judge);
  /* Back from the settings. */
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && judge());
  judge();
}
