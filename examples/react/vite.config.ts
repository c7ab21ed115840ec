import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page and the broker are one origin, as they are behind a proxy in production.
const broker = "127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    port: 5173,
    strictPort: true,
    proxy: {
      "/ws": { target: `ws://${broker}`, ws: true },
      "/dev/token": `http://${broker}`,
    },
  },
});
