import { defineConfig } from "vite";

/** The bare page alone: it is built for a measurement and travels nowhere. */
export default defineConfig({
  root: "bench",
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 2000,
    emptyOutDir: true,
    rolldownOptions: { input: "bench/bare.html" },
  },
});
