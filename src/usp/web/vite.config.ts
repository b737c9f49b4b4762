import { defineConfig } from "vite";

export default defineConfig({
  base: "/web/",
  // JSX becomes calls of Preact.
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // `npx vite` while working on the pages, beside `make run`.
  server: {
    proxy: { "/v1": "http://127.0.0.1:8000", "/health": "http://127.0.0.1:8000", "/pages": "http://127.0.0.1:8000" },
  },
  build: {
    target: "es2022",
    // The Content-Security-Policy allows no `data:` but for pictures.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    license: { fileName: "licences.md" },
    rolldownOptions: { input: { map: "index.html", ops: "ops.html" } },
  },
});
