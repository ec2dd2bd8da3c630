async () => codemode.search([
  "commit history", "list components", "search issues", "comments of an issue", "person", "calendar events",
  "convert time between zones",
], { limit: 1 })
