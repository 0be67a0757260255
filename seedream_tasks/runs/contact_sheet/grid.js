// The sheet itself: filters, order, and a list that only holds the cards in view.

const filters = { status: '', shot: '', gateway: '', warning: '', review: '', search: '', sort: 'row' };
const ORDER = [...PROBLEMS, 'archived', 'skipped'];
const CHIPS = ['archived', ...PROBLEMS, 'skipped'];
const SORTS = {
  row: ['Catalog order', (a, b) => a.position - b.position],
  attention: ['Needs attention first', (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || b.warnings.length - a.warnings.length || a.position - b.position],
  cost: ['Cost, highest first', (a, b) => Number(b.cost) - Number(a.cost) || a.position - b.position],
  status: ['Status', (a, b) => a.status.localeCompare(b.status) || a.position - b.position],
  key: ['Key', (a, b) => (a.key || '').localeCompare(b.key || '', undefined, { numeric: true }) || a.position - b.position],
};
let shown = [];
let current = -1;
let columns = 1;
let rowHeight = 1;
const cards = new Map(); // position among `shown` -> element

// Text only ever enters the page as text: a catalog's own words cannot become markup.
function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'on') for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

const toneOf = (status) => (status === 'archived' ? 'good' : CALM.has(status) ? 'calm' : status === 'partial' ? 'warn' : 'bad');

function marksOf(record, everything) {
  const marks = [];
  if (everything || (record.status !== 'archived' && record.images.length)) marks.push(make('span', { class: `tag ${toneOf(record.status)}` }, words(record.status)));
  if (record.stale) marks.push(make('span', { class: 'tag warn' }, 'earlier image'));
  for (const warning of record.warnings) marks.push(make('span', { class: 'tag warn' }, words(warning)));
  if (everything && record.reused) marks.push(make('span', { class: 'tag' }, 'reused'));
  if (record.reason === 'rejected') marks.push(make('span', { class: 'tag' }, 'rework'));
  return marks;
}

function imageOf(source, alternative, text) {
  const image = make('img', { src: source, alt: text, loading: 'lazy', decoding: 'async' });
  image.addEventListener('error', () => {
    if (alternative && image.src !== new URL(alternative, document.baseURI).href) image.src = alternative;
    else image.replaceWith(make('span', { class: 'gone' }, 'no thumbnail'));
  });
  return image;
}

function referencePanes(record) {
  return record.references.slice(0, 3).map((reference) =>
    make('div', { class: 'ref' }, reference.thumbnail
      ? imageOf(thumbnailOf(reference.sha), null, `Reference of ${record.key}`)
      : make('span', {}, reference.uri.split('/').pop() || reference.uri)));
}

function imagePanes(record) {
  const all = record.images;
  const most = all.length > 4 ? 4 : all.length;
  return all.slice(0, most).map((image, number) => {
    const verdict = verdictOf(record, image);
    return make('div', { class: `pic ${verdict}` },
      imageOf(thumbnailOf(image.sha), image.path && linkTo(image.path), `${record.title || record.key}, ${record.shot}`),
      number === most - 1 && all.length > most ? make('span', { class: 'extra' }, `+${all.length - most + 1}`) : null,
      verdict ? make('span', { class: `mark ${verdict}`, title: verdict }, verdict === 'approved' ? '✓' : '✕') : null);
  });
}

function cardOf(record, position) {
  const verdict = verdictOfRecord(record);
  const images = record.images.length;
  const shots = images
    ? make('div', { class: `shots ${images === 2 ? 'two' : images > 2 ? 'more' : ''}` }, ...imagePanes(record))
    : make('div', { class: `none ${toneOf(record.status)}` }, make('b', {}, words(record.status)), make('span', {}, record.error || words(record.reason)));
  const choose = (word, sign) => make('button', {
    type: 'button', class: word === 'approved' ? 'approve' : 'reject', tabindex: '-1', 'aria-pressed': String(verdict === word),
    'aria-label': `${word === 'approved' ? 'Approve' : 'Reject'} ${record.key} ${record.shot}`,
    on: { click: (event) => { event.stopPropagation(); select(position); toggle(record, record.images, word); } },
  }, sign);
  return make('article', {
    class: `card${position === current ? ' current' : ''}`, tabindex: position === current || (current < 0 && position === 0) ? '0' : '-1',
    'aria-label': `${record.title || record.key}, ${record.shot}, ${words(record.status)}${verdict ? `, ${verdict}` : ''}`,
    on: { focus: () => { if (current !== position) select(position, false); } },
  },
    make('div', { class: 'panes-small', on: { click: () => { select(position); openViewer(); } } },
      record.references.length ? make('div', { class: 'refs' }, ...referencePanes(record)) : null, shots),
    make('div', { class: 'caption' },
      make('p', { class: 'name', title: record.title || record.key }, record.title || record.key || 'no key'),
      make('p', { class: 'cost' }, Number(record.cost) || images ? dollars(record.cost) : ''),
      make('p', { class: 'meta' }, [record.title ? record.key : '', record.shot, record.gateway].filter(Boolean).join(' · ')),
      make('div', { class: 'marks' }, ...marksOf(record, false)),
      make('div', { class: 'act' }, ...(images ? [choose('approved', '✓'), choose('rejected', '✕')] : []))));
}

// Layout and scrolling

function measure() {
  const list = $('list');
  const style = getComputedStyle(document.documentElement);
  const px = (name) => parseFloat(style.getPropertyValue(name));
  const gap = px('--gap');
  columns = Math.max(1, Math.floor((list.clientWidth + gap) / (312 + gap)));
  rowHeight = px('--image') + px('--caption') + gap;
  list.style.height = `${Math.ceil(shown.length / columns) * rowHeight}px`;
  return { width: (list.clientWidth - gap * (columns - 1)) / columns, gap };
}

let layout = { width: 0, gap: 0 };

function draw(fresh) {
  const list = $('list');
  if (fresh) {
    layout = measure();
    list.replaceChildren();
    cards.clear();
  }
  const top = list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / rowHeight) - 2);
  const last = Math.ceil((window.innerHeight - top) / rowHeight) + 2;
  fill(first * columns, Math.min(shown.length, last * columns));
}

function fill(from, to) {
  for (const [position, element] of cards) {
    if ((position < from || position >= to) && position !== current) {
      element.remove();
      cards.delete(position);
    }
  }
  for (let position = from; position < to; position += 1) if (!cards.has(position)) place(position);
}

function place(position) {
  const slot = make('li', { class: 'slot', 'aria-setsize': String(shown.length), 'aria-posinset': String(position + 1) }, cardOf(shown[position], position));
  const x = (position % columns) * (layout.width + layout.gap);
  const y = Math.floor(position / columns) * rowHeight;
  slot.style.width = `${layout.width}px`;
  slot.style.height = `${rowHeight - layout.gap}px`;
  slot.style.translate = `${x}px ${y}px`;
  const old = cards.get(position);
  if (old) old.replaceWith(slot);
  else $('list').append(slot);
  cards.set(position, slot);
}

function redraw(record) {
  const position = shown.indexOf(record);
  if (position < 0 || !cards.has(position)) return;
  const focused = cards.get(position).contains(document.activeElement);
  place(position);
  if (focused) cards.get(position).firstElementChild.focus({ preventScroll: true });
}

function select(position, focus = true) {
  if (!shown.length) return;
  const before = current;
  current = Math.max(0, Math.min(shown.length - 1, position));
  const old = before >= 0 && before !== current ? cards.get(before) : null;
  if (old) { old.firstElementChild.classList.remove('current'); old.firstElementChild.tabIndex = -1; }
  if (!cards.has(current)) place(current);
  const card = cards.get(current).firstElementChild;
  card.classList.add('current');
  card.tabIndex = 0;
  if (!focus) return;
  card.focus({ preventScroll: true });
  const box = card.getBoundingClientRect();
  const bar = document.querySelector('.bar').getBoundingClientRect().bottom + 12;
  if (box.top < bar) window.scrollBy(0, box.top - bar);
  else if (box.bottom > window.innerHeight - 12) window.scrollBy(0, box.bottom - window.innerHeight + 12);
}

// Filters

function matches(record) {
  const { status, shot, gateway, warning, review: wanted, search } = filters;
  if (status === 'attention' ? !(PROBLEMS.has(record.status) || record.warnings.length || record.stale) : status && record.status !== status) return false;
  if (shot && record.shot !== shot) return false;
  if (gateway && record.gateway !== gateway) return false;
  if (warning && !record.warnings.some((each) => kindOf(each) === warning)) return false;
  if (wanted === 'open' ? !record.images.length || verdictOfRecord(record) : wanted && verdictOfRecord(record) !== wanted) return false;
  return !search || search.split(/\s+/).every((word) => record.text.includes(word));
}

function apply() {
  const chosen = shown[current];
  shown = records.filter(matches).sort(SORTS[filters.sort][1]);
  current = chosen ? shown.indexOf(chosen) : -1;
  $('empty').hidden = shown.length > 0;
  const all = shown.length === records.length;
  $('count').textContent = all ? `${shown.length.toLocaleString('en')} records` : `${shown.length.toLocaleString('en')} of ${records.length.toLocaleString('en')}`;
  for (const chip of $('chips').children) chip.setAttribute('aria-pressed', String(chip.dataset.status === filters.status));
  draw(true);
}

function options(id, label, values) {
  const list = $(id);
  list.replaceChildren(make('option', { value: '' }, label), ...values.map(([value, text]) => make('option', { value }, text)));
  list.addEventListener('change', () => { filters[id] = list.value; apply(); });
  list.parentElement.hidden = values.length === 0;
}

const counted = (pick) => {
  const counts = new Map();
  for (const record of records) for (const value of pick(record)) if (value) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([value, count]) => [value, `${words(value)} (${count.toLocaleString('en')})`]);
};

function chips() {
  const chip = (status, text, count, problem) => make('button', {
    type: 'button', class: `chip${problem ? ' problem' : ''}`, 'data-status': status, 'aria-pressed': 'false',
    on: { click: () => { filters.status = filters.status === status ? '' : status; apply(); } },
  }, text, make('b', {}, count.toLocaleString('en')));
  const attention = records.filter((record) => PROBLEMS.has(record.status) || record.warnings.length || record.stale).length;
  const statuses = counted((record) => [record.status]).map(([status]) => status).sort((a, b) => CHIPS.indexOf(a) - CHIPS.indexOf(b));
  $('chips').replaceChildren(
    chip('', 'All', records.length, false),
    ...(attention ? [chip('attention', 'Needs attention', attention, true)] : []),
    ...statuses.map((status) => chip(status, words(status), records.filter((record) => record.status === status).length, PROBLEMS.has(status))));
}
