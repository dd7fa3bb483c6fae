"""The style of a report's page: everything is below ``.warmflow``, so that a notebook around it stays as it is."""

CSS = """
.warmflow{--ink:#1c2126;--soft:#5b6570;--paper:#fff;--card:#f5f6f8;--line:#dfe3e8;--good:#1f7a36;--open:#b35c00;
--bad:#c22525;--near:#1864ab;--unsure:#5b6570;--cold:#3b82d0;--warm:#e8590c;color:var(--ink);background:var(--paper);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;
max-width:1120px;margin:0 auto;padding:20px 20px 48px;box-sizing:border-box;overflow-wrap:anywhere}
.warmflow *{box-sizing:border-box}
.warmflow h1{font-size:1.75rem;line-height:1.25;margin:.35rem 0 .5rem;font-weight:700;text-wrap:balance;border:0}
.warmflow h2{font-size:1.15rem;margin:2.4rem 0 .6rem;font-weight:650;border:0}
.warmflow p{margin:.4rem 0}.warmflow .soft,.warmflow figcaption{color:var(--soft);font-size:.9rem}
.warmflow header{border-left:6px solid var(--state);padding:.1rem 0 .1rem 1rem}
.warmflow .good{--state:var(--good)}.warmflow .near{--state:var(--near)}.warmflow .open{--state:var(--open)}
.warmflow .bad{--state:var(--bad)}.warmflow .unsure{--state:var(--unsure)}.warmflow .none{--state:var(--cold)}
.warmflow .question{color:var(--soft)}.warmflow header h2{margin:.35rem 0 .5rem;font-size:1.3rem;line-height:1.3}
.warmflow header+header{margin-top:1.4rem}.warmflow h2.large{font-size:1.5rem}
.warmflow h3{font-size:1.05rem;margin:1.8rem 0 .5rem;font-weight:650;border:0}
.warmflow ul.notes{margin:.4rem 0;padding-left:1.2rem}.warmflow .warning{color:var(--bad);font-weight:600}
.warmflow .reading{background:var(--card);border-radius:12px;padding:.7rem 1rem;margin:1rem 0;font-size:.95rem}
.warmflow section.candidate{border-top:1px solid var(--line);margin-top:2.4rem}
.warmflow .narrow-only{display:none}
.warmflow .split{display:grid;gap:20px;grid-template-columns:minmax(0,4fr) minmax(0,5fr);align-items:start}
.warmflow .badge{display:inline-block;background:var(--state);color:#fff;border-radius:99px;padding:.05rem .65rem;
font-size:.8rem;font-weight:650;white-space:nowrap}
.warmflow .tiles{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));margin:1.3rem 0}
.warmflow .tile{background:var(--card);border-radius:12px;padding:.8rem 1rem}
.warmflow .tile b{display:block;font-size:1.75rem;line-height:1.25;font-weight:700;font-variant-numeric:tabular-nums}
.warmflow .tile span{color:var(--soft);font-size:.87rem;display:block}
.warmflow .pair{display:grid;gap:20px;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}
.warmflow figure{margin:0;min-width:0}.warmflow figure>svg{display:block;width:100%;height:auto;max-width:560px}
.warmflow figure.wide>svg{max-width:660px}
.warmflow .pair figure>svg{max-width:440px}
.warmflow figure.main{margin:1.2rem 0}.warmflow figure.main svg{display:block;width:100%;height:auto;max-width:900px}
.warmflow .grids{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(135px,1fr))}
.warmflow .grids img{display:block;width:100%;height:auto;border-radius:4px}
.warmflow .grids img.pixels{image-rendering:pixelated}
.warmflow .grids figcaption{margin-top:.3rem;line-height:1.3}
.warmflow dl.text{background:var(--card);border-radius:12px;padding:.6rem 1rem;margin:.7rem 0}
.warmflow dl.text dt{font-size:.8rem;font-weight:600;color:var(--soft);margin-top:.3rem}
.warmflow dl.text code{color:var(--ink);font:.9rem/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
white-space:pre-wrap;background:none;padding:0}
.warmflow mark{background:var(--warm);color:#fff;border-radius:3px;padding:0 .05em}
.warmflow .scroll{overflow-x:auto;border:1px solid var(--line);border-radius:12px}
.warmflow table{border-collapse:collapse;width:100%;font-size:.9rem;margin:0;font-variant-numeric:tabular-nums;
overflow-wrap:normal;color:inherit}
.warmflow th,.warmflow td{padding:.42rem .75rem;text-align:right;border:0;border-bottom:1px solid var(--line);
white-space:nowrap;background:var(--paper)}
.warmflow tr:last-child td{border-bottom:0}
.warmflow th{color:var(--soft);font-weight:600;vertical-align:bottom;white-space:normal;line-height:1.25}
.warmflow th:first-child,.warmflow td:first-child,.warmflow th.left,.warmflow td.left{text-align:left}
.warmflow tr.group th{color:var(--ink);background:var(--card);font-weight:650;white-space:nowrap}
.warmflow tr.group span{position:sticky;left:.75rem}
.warmflow .long{white-space:normal;min-width:13rem}
.warmflow .split .long{min-width:8rem}
.warmflow .rows td:first-child,.warmflow .rows th:first-child{position:sticky;left:0;z-index:1}
.warmflow tr.quoted td{font-weight:650;background:var(--card)}
.warmflow tr.quoted td:first-child{box-shadow:inset 4px 0 var(--warm)}
.warmflow .dim{color:var(--soft);font-weight:400}
.warmflow .yes{color:var(--good);font-weight:650}.warmflow .no{color:var(--bad);font-weight:650}
.warmflow details{background:var(--card);border-radius:12px;padding:.65rem 1rem;margin:1rem 0}
.warmflow summary{cursor:pointer;font-weight:600}.warmflow dl{margin:.6rem 0 0}
.warmflow dt{font-weight:650;margin-top:.5rem}.warmflow dd{margin:0;color:var(--soft)}
.warmflow pre{background:var(--card);color:inherit;border:0;border-radius:12px;padding:.8rem 1rem;margin:.4rem 0;
white-space:pre-wrap;
font:.88rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;user-select:all;-webkit-user-select:all}
.warmflow .facts td{text-align:left;white-space:normal;vertical-align:top}
.warmflow .facts td:first-child{color:var(--soft);width:13rem}
.warmflow .narrow{max-width:420px}.warmflow pre span{display:inline-block;max-width:100%}
.warmflow a{color:inherit}.warmflow section.run{border-top:1px solid var(--line);margin-top:3rem;padding-top:2rem}
@media (prefers-color-scheme:dark){.warmflow{--ink:#e8eaed;--soft:#9aa4b0;--paper:#14171b;--card:#1e2329;--line:#333a43;
--good:#2b8a47;--open:#b86a14;--bad:#d1453d;--near:#2b7fd0;--unsure:#6b7682;--cold:#6aa5e8;--warm:#ff7b39}}
@media (max-width:600px){.warmflow{padding:14px 14px 40px}.warmflow h1{font-size:1.35rem}
.warmflow header{padding-left:.75rem}.warmflow .tiles{grid-template-columns:1fr 1fr;gap:10px}
.warmflow .tile{padding:.65rem .75rem}.warmflow .tile b{font-size:1.35rem}
.warmflow .wide-only,.warmflow figure.main .wide-only{display:none}.warmflow .narrow-only{display:block}
.warmflow .split{grid-template-columns:minmax(0,1fr)}
.warmflow .grids{grid-template-columns:1fr 1fr;gap:12px}
.warmflow th,.warmflow td{padding:.38rem .5rem}.warmflow .rows td:first-child{max-width:7.5rem;white-space:normal}
.warmflow td .dim{display:block;font-size:.78rem}
.warmflow .facts td:first-child{width:38%}.warmflow .long{min-width:11rem}}
@media print{.warmflow{max-width:none;padding:0;font-size:14px;
--ink:#1c2126;--soft:#5b6570;--paper:#fff;--card:#f5f6f8;--line:#dfe3e8}
.warmflow *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.warmflow .scroll{overflow:visible;border:0}.warmflow .wide-only{display:block}.warmflow .narrow-only{display:none}
.warmflow th,.warmflow td{padding:.2rem .35rem;white-space:normal;font-size:.8rem;position:static!important}
.warmflow tr,.warmflow figure,.warmflow header,.warmflow .tile,.warmflow .reading{break-inside:avoid}
.warmflow h2,.warmflow h3{break-after:avoid}
.warmflow .split{grid-template-columns:minmax(0,2fr) minmax(0,3fr)}}
"""

PAGE_CSS = "html,body{margin:0;background:#fff}@media (prefers-color-scheme:dark){html,body{background:#14171b}}"
