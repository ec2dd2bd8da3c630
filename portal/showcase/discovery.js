async () => codemode.search([
  "read the commit log", "list components", "search issues", "list comments", "get person", "list calendar events",
  "convert time",
], { limit: 2 })
