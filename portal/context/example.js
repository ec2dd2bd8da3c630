// Which urgent issues wait for us? The reporter had the last word, or nobody has answered at all.
async () => {
  const { issues } = await codemode.tracker_search_issues({ state: "open", priority: ["urgent"], per_page: 50 });
  const threads = await Promise.all(issues.map(({ number }) => codemode.tracker_list_comments({ number })));
  const waiting = issues.filter(({ reporter }, at) => (threads[at].comments.at(-1)?.author ?? reporter) === reporter);
  const people = await Promise.all(
    [...new Set(waiting.map((issue) => issue.reporter))].map((login) => codemode.tracker_get_person({ login })),
  );
  const company = Object.fromEntries(people.map(({ login, team }) => [login, team]));
  return waiting.map(({ number, title, reporter }) => `#${number} ${title} (${reporter}, ${company[reporter]})`);
}
