// What should the next urgent meeting be about, who has to come, and when can all of them?
async () => {
  const repo_path = "<repository>";
  const days = ["<days>"];
  const length = 45; // minutes

  // Which part of the code has urgent issues, and is being worked on?
  const [{ components }, log] = await Promise.all([
    codemode.tracker_list_components(),
    codemode.repo_git_log({ repo_path, max_count: 100 }).catch(() => ""), // no history yet: go by the issues alone
  ]);
  const subjects = [...log.matchAll(/^Message: (.*)$/gm)].map((match) => match[1]);
  const parts = await Promise.all(components.map(async ({ name, lead, keywords }) => {
    const { total, issues } = await codemode.tracker_search_issues({
      component: name, state: "open", priority: ["urgent", "high"], sort: "priority",
    });
    const words = new RegExp(`\\b(${keywords.join("|")})\\b`, "i");
    return { name, lead, issues, urgent: total, commits: subjects.filter((subject) => words.test(subject)).length };
  }));
  const heat = (part) => part.urgent * (1 + part.commits);
  const focus = parts.reduce((hottest, part) => (heat(part) > heat(hottest) ? part : hottest));

  // Which of its issues wait for us: nobody has answered the reporter's last word.
  const threads = await Promise.all(focus.issues.map(({ number }) => codemode.tracker_list_comments({ number })));
  const waiting = focus.issues.filter(({ reporter }, i) => (threads[i].comments.at(-1)?.author ?? reporter) === reporter);

  // Who has to come, what is in their calendars, and how far from UTC are their clocks?
  const logins = [...new Set([focus.lead, ...waiting.map((issue) => issue.assignee)])].filter(Boolean);
  const people = await Promise.all(logins.map(async (login) => {
    const { name, timezone, working_hours } = await codemode.tracker_get_person({ login });
    const [{ events }, { time_difference }] = await Promise.all([
      codemode.tracker_list_events({ attendee: login, start: `${days[0]}T00:00Z`, end: `${days.at(-1)}T23:59Z` }),
      codemode.time_convert_time({ source_timezone: "UTC", time: "12:00", target_timezone: timezone }),
    ]);
    return { name, timezone, hours: working_hours, events, ahead: parseFloat(time_difference) * 60 };
  }));

  // The first time when everybody is at work and free.
  const minutes = (clock) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));
  const clock = (at) => new Date(((at + 1440) % 1440) * 60_000).toISOString().slice(11, 16);
  const local = (person, at) => (at + person.ahead + 1440) % 1440;
  const canCome = (person, day, at) =>
    local(person, at) >= minutes(person.hours.start) && local(person, at) + length <= minutes(person.hours.end) &&
    !person.events.some(({ start, end }) => start < `${day}T${clock(at + length)}:00Z` && end > `${day}T${clock(at)}:00Z`);
  const starts = Array.from({ length: 93 }, (_, quarter) => quarter * 15);
  const slots = days.flatMap((day) => starts.map((at) => ({ day, at })));
  const slot = slots.find(({ day, at }) => people.every((person) => canCome(person, day, at)));

  return {
    meeting_about: focus.name,
    commits_read: subjects.length,
    urgent_and_commits: Object.fromEntries(parts.map(({ name, urgent, commits }) => [name, [urgent, commits]])),
    waiting_for_us: waiting.map(({ number, title, reporter }) => `#${number} ${title} (${reporter})`),
    starts: slot ? `${slot.day}T${clock(slot.at)}Z` : null,
    for_each: people.map((p) => `${p.name}: ${slot ? clock(local(p, slot.at)) : "no common time"} ${p.timezone}`),
  };
}
