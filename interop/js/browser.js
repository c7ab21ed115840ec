// Debian's headless Chromium, as the browser tests start it.
import { chromium } from "playwright-core";

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// devToken returns a token of the development mode.
export const devToken = async (broker, user) => (await fetch(`${broker.page}dev/token?user=${user}`)).text();
