// One record at full size, its review, the keyboard, and the start.

let chosen = 0;
const inView = () => shown[current];

function openViewer() {
  if (!inView()) return;
  chosen = 0;
  show();
  if (!$('viewer').open) $('viewer').showModal();
}

const closeViewer = () => { $('viewer').close(); if (inView()) select(current); };

function show() {
  const record = inView();
  chosen = Math.max(0, Math.min(chosen, record.images.length - 1));
  const image = record.images[chosen];
  $('viewer-key').textContent = [record.key, record.shot].filter(Boolean).join(' · ');
  $('viewer-title').textContent = record.title || record.key || 'no key';
  $('viewer-marks').replaceChildren(...marksOf(record, true));
  $('panes').replaceChildren(...record.references.slice(0, 2).map((each) => referencePane(record, each)), resultPane(record, image));
  $('strip').replaceChildren(...(record.images.length > 1 ? record.images.map((each, number) => make('button', {
    type: 'button', 'aria-label': `Image ${number + 1}`, 'aria-current': String(number === chosen),
    on: { click: () => { chosen = number; show(); } },
  }, imageOf(thumbnailOf(each.sha), null, ''))) : []));
  $('which').textContent = record.images.length > 1 ? `Image ${chosen + 1} of ${record.images.length}; each has its own verdict.` : '';
  $('viewer-error').hidden = !(record.error && PROBLEMS.has(record.status));
  $('viewer-error').textContent = record.error || '';
  $('viewer-prompt').textContent = record.prompt || 'none';
  $('note').value = noteOf(record);
  $('amend').value = amendedOf(record);
  verdictButtons();
  $('viewer-facts').replaceChildren(...factsOf(record, image).flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
  $('back').disabled = current <= 0;
  $('forth').disabled = current >= shown.length - 1;
}

function verdictButtons() {
  const record = inView();
  const image = record.images[chosen];
  const verdict = image ? verdictOf(record, image) : '';
  for (const [id, word] of [['approve', 'approved'], ['reject', 'rejected']]) {
    $(id).setAttribute('aria-pressed', String(verdict === word));
    $(id).disabled = !image;
  }
  const rejected = verdictOfRecord(record) === 'rejected';
  $('amend-field').hidden = !rejected;
  $('asked').hidden = rejected;
}

function referencePane(record, reference) {
  const isLink = /^https?:\/\//.test(reference.uri);
  const name = reference.uri.split('/').pop() || reference.uri;
  return make('div', { class: 'pane ref' },
    make('div', { class: 'frame' }, reference.thumbnail ? imageOf(thumbnailOf(reference.sha), null, `Reference of ${record.key}`) : make('span', {}, 'no thumbnail')),
    make('p', {}, 'Reference: ', isLink ? make('a', { href: reference.uri, target: '_blank', rel: 'noreferrer noopener' }, name) : name));
}

function resultPane(record, image) {
  if (!image) return make('div', { class: `none ${toneOf(record.status)}` }, make('b', {}, words(record.status)), make('span', {}, record.error || words(record.reason)));
  const full = image.path && linkTo(image.path);
  const frame = make('div', { class: 'frame' }, imageOf(full || thumbnailOf(image.sha), thumbnailOf(image.sha), `${record.title || record.key}, ${record.shot}`));
  // The thumbnail stands in until the full image is there.
  const backdrop = embedded[image.sha];
  if (backdrop) {
    frame.style.backgroundImage = `url("${backdrop}")`;
    frame.firstElementChild.addEventListener('load', () => { frame.style.backgroundImage = ''; });
  }
  return make('div', { class: 'pane' }, frame,
    make('p', {}, `${image.width} × ${image.height} px · `, full ? make('a', { href: full, target: '_blank', rel: 'noopener', id: 'full' }, 'open the file') : 'not copied to this archive'));
}

function factsOf(record, image) {
  const rows = [
    ['Status', words(record.status)], ['Reason', words(record.reason)], ['Gateway', record.gateway], ['Model', record.model],
    ['Operation', record.operation], ['Size', [record.ratio, record.tier, record.pixels].filter(Boolean).join(' ')],
    ['Cost', dollars(record.cost)], ['Billed in this run', dollars(record.billed)],
    ['At risk', Number(record.at_risk) ? dollars(record.at_risk) : ''], ['Edition', record.edition],
    ['Attempts', record.attempts > 1 ? String(record.attempts) : ''], ['Catalog row', String(record.row)],
    ['Reviewed', image && image.verdict ? `${image.verdict}${image.reviewer ? ` by ${image.reviewer}` : ''}` : ''],
    ['File', image && image.path],
  ];
  return rows.filter(([, value]) => value);
}

function toggle(record, images, verdict) {
  if (!images.length) return;
  const already = images.every((each) => verdictOf(record, each) === verdict);
  decide(record, images, already ? '' : verdict);
  changed(record);
}

function changed(record) {
  redraw(record);
  progress();
  if ($('viewer').open) verdictButtons();
}

function judge(verdict) {
  const record = inView();
  if (!record) return;
  const images = $('viewer').open ? record.images.slice(chosen, chosen + 1) : record.images;
  if (verdict) toggle(record, images, verdict);
  else { decide(record, images, ''); changed(record); }
}

function step(by) {
  if (!shown.length) return;
  if ($('viewer').open && (current + by < 0 || current + by >= shown.length)) return;
  select(current < 0 ? 0 : current + by, !$('viewer').open);
  if ($('viewer').open) { chosen = 0; draw(false); show(); }
}

function progress() {
  const open = records.filter((record) => record.images.length);
  const done = open.filter((record) => verdictOfRecord(record)).length;
  const mine = exported().reviews.length;
  $('progress').textContent = done ? `${done.toLocaleString('en')} of ${open.length.toLocaleString('en')} reviewed` : '';
  $('export').disabled = !mine;
}

function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $('toast').hidden = true; }, 6000);
}

function exportReview() {
  const value = exported();
  if (!value.reviews.length) return;
  const name = `review-${run.run_id}.json`;
  download(name, value);
  toast(`${name}: ${value.reviews.length} verdicts. Take it in with: seedream review apply ${name}`);
}

const KEYS = {
  j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
  ArrowDown: () => step($('viewer').open ? 1 : columns), ArrowUp: () => step($('viewer').open ? -1 : -columns),
  Enter: () => openViewer(), a: () => judge('approved'), r: () => judge('rejected'), u: () => judge(''),
  n: () => { openViewer(); $('note').focus(); },
  '/': () => { if ($('viewer').open) closeViewer(); $('search').focus(); $('search').select(); },
  e: () => exportReview(), '?': () => $('help').showModal(),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  const at = event.target;
  if (/^(TEXTAREA|SELECT)$/.test(at.tagName) || (at.tagName === 'INPUT')) {
    if (event.key === 'Enter' && at.id === 'search') { event.preventDefault(); select(0); }
    if (event.key === 'Escape' && at.id === 'search') at.blur();
    return;
  }
  if ((event.key === 'Enter' || event.key === ' ') && /^(BUTTON|A)$/.test(at.tagName)) return;
  const handler = KEYS[event.key];
  if (!handler) return;
  event.preventDefault();
  handler();
});

// The start

function header() {
  $('catalog').textContent = run.catalog;
  $('sub').textContent = `${run.written_at} · run ${run.run_id.slice(0, 8)}`;
  $('sub').title = run.run_id;
  document.title = `${run.catalog}: contact sheet`;
  $('simulated').hidden = !run.simulated;
  const figures = [
    ['images', run.images.toLocaleString('en')], ['records', run.records.toLocaleString('en')], ['billed', dollars(run.billed_usd)],
    ['cost of all images shown', run.cost_usd === run.billed_usd ? '' : dollars(run.cost_usd)],
    ['at risk', Number(run.at_risk_usd) ? run.at_risk_in_words : ''], ['deferred', Number(run.deferred_usd) ? dollars(run.deferred_usd) : ''],
    ['of it rework', Number(run.rework_usd) ? dollars(run.rework_usd) : ''],
    ...Object.entries(run.by_gateway).map(([name, each]) => [name, `${dollars(each.billed_usd)} for ${each.images.toLocaleString('en')}`]),
  ];
  $('totals').replaceChildren(...figures.filter(([, value]) => value).map(([name, value]) =>
    make('div', { class: name === 'at risk' ? (run.at_risk_of_prices ? 'quiet' : 'loud') : name in run.by_gateway ? 'detail' : '' }, make('dt', {}, name), make('dd', {}, value))));
  const parts = [];
  if (run.left_out) parts.push(`${run.left_out.toLocaleString('en')} records that need no attention are left out; all of them are in `);
  if (!kept) parts.push('This browser keeps nothing for this page: export before you close it.');
  if (parts.length) {
    $('notice').replaceChildren(parts[0], ...(run.left_out ? [make('a', { href: 'manifest.parquet' }, 'manifest.parquet'), '. '] : []), ...parts.slice(1));
    $('notice').hidden = false;
  }
}

header();
chips();
options('shot', 'All shots', counted((record) => [record.shot]));
options('gateway', 'All gateways', counted((record) => [record.gateway]));
options('warning', 'Any', counted((record) => [...new Set(record.warnings.map(kindOf))]));
options('review', 'Any', [['open', 'not reviewed'], ['approved', 'approved'], ['rejected', 'rejected']]);
$('sort').replaceChildren(...Object.entries(SORTS).map(([value, [text]]) => make('option', { value }, text)));
$('sort').addEventListener('change', () => { filters.sort = $('sort').value; apply(); });
$('search').addEventListener('input', () => { filters.search = $('search').value.trim().toLowerCase(); apply(); });
$('clear').addEventListener('click', () => {
  for (const id of ['shot', 'gateway', 'warning', 'review', 'search']) { $(id).value = ''; filters[id] = ''; }
  filters.status = '';
  apply();
});
$('approve').addEventListener('click', () => judge('approved'));
$('reject').addEventListener('click', () => judge('rejected'));
$('note').addEventListener('input', () => change(inView(), { note: $('note').value }));
$('amend').addEventListener('input', () => change(inView(), { prompt: $('amend').value }));
$('back').addEventListener('click', () => step(-1));
$('forth').addEventListener('click', () => step(1));
$('close').addEventListener('click', closeViewer);
$('viewer').addEventListener('cancel', (event) => { event.preventDefault(); closeViewer(); });
$('export').addEventListener('click', exportReview);
$('help-button').addEventListener('click', () => $('help').showModal());
$('reviewer').value = review.reviewer;
$('reviewer').addEventListener('input', () => { review.reviewer = $('reviewer').value; keep(); });
// The same sheet in another tab: what is said there counts here, too.
addEventListener('storage', (event) => {
  if (event.key !== STORE && event.key !== null) return;
  recall();
  apply();
  progress();
  if ($('viewer').open && inView()) verdictButtons();
});
let waiting = false;
addEventListener('scroll', () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(false); });
}, { passive: true });
addEventListener('resize', () => draw(true));
addEventListener('beforeprint', () => fill(0, Math.min(shown.length, 600)));
addEventListener('afterprint', () => draw(true));
progress();
apply();
