'use strict';
// What the page knows: the run, its records, thumbnails by sha256, and the review kept in this browser.

const $ = (id) => document.getElementById(id);

function read(kind) {
  return [...document.querySelectorAll(`script[data-kind="${kind}"]`)].map((each) => JSON.parse(each.textContent));
}

const run = read('run')[0];
const records = read('records').flat();
const embedded = Object.assign({}, ...read('thumbnails'));
const PROBLEMS = new Set(['failed', 'unknown', 'in_flight', 'expired', 'lost', 'cancelled', 'deferred', 'invalid', 'partial']);
const CALM = new Set(['in_flight', 'deferred', 'skipped']);
const WORDS = { in_flight: 'in flight' };

// `same_as: KEY/SHOT` is a warning of the kind `same_as`; what it names is a catalog's own text.
const kindOf = (warning) => warning.split(': ', 1)[0];
const words = (text) => {
  const kind = kindOf(text);
  return (WORDS[kind] || kind.replaceAll('_', ' ')) + text.slice(kind.length);
};
const dollars = (text) => {
  const [whole, places = ''] = String(text).split('.');
  return `$${whole}.${places.padEnd(2, '0')}`;
};
// Paths are relative to this page, so that it works wherever the archive is put.
const linkTo = (path) => `../../${path.split('/').map(encodeURIComponent).join('/')}`;
const thumbnailOf = (sha) => embedded[sha] || linkTo(`thumbnails/${sha.slice(0, 2)}/${sha}.jpg`);

for (const [position, record] of records.entries()) {
  record.position = position;
  record.id = `${record.row}/${record.shot}`;
  record.text = [record.key, record.title, record.shot, record.prompt, record.gateway, record.error, record.code]
    .filter(Boolean).join('\n').toLowerCase();
}

// The review: per record a verdict for each image, a note, and an amended prompt. What the ledger knows already shows through.

const STORE = `seedream-review-${run.run_id}`;
let review;
let kept = true;

function recall() {
  review = { reviewer: '', records: {} };
  try {
    review = { ...review, ...JSON.parse(localStorage.getItem(STORE) || '{}') };
  } catch {
    kept = false;
  }
}

recall();

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(review));
  } catch {
    kept = false;
  }
}

const said = (record) => review.records[record.id] || {};
const imageId = (image) => `${image.attempt}/${image.slot}`;

function verdictOf(record, image) {
  const mine = (said(record).verdicts || {})[imageId(image)];
  return mine ? mine.verdict : image.verdict || '';
}

function verdictOfRecord(record) {
  const all = new Set(record.images.map((image) => verdictOf(record, image)));
  if (all.has('rejected')) return 'rejected';
  return all.size === 1 && all.has('approved') ? 'approved' : '';
}

const noteOf = (record) => said(record).note ?? record.images.map((image) => image.note).find(Boolean) ?? '';
const amendedOf = (record) => said(record).prompt ?? record.prompt ?? '';

function change(record, values) {
  review.records[record.id] = { ...said(record), ...values };
  keep();
}

function decide(record, images, verdict) {
  const verdicts = { ...said(record).verdicts };
  for (const image of images) {
    if (verdict) verdicts[imageId(image)] = { verdict, at: new Date().toISOString() };
    else delete verdicts[imageId(image)];
  }
  change(record, { verdicts });
}

function exported() {
  const reviews = [];
  for (const record of records) {
    const verdicts = said(record).verdicts || {};
    for (const image of record.images) {
      const mine = verdicts[imageId(image)];
      if (!mine) continue;
      const amended = amendedOf(record).trim();
      const anew = mine.verdict === 'rejected' && amended && amended !== record.prompt;
      reviews.push({
        row_key: record.key, shot: record.shot, attempt_id: image.attempt, slot: image.slot,
        sha256: image.sha, verdict: mine.verdict, note: noteOf(record).trim() || null, prompt: anew ? amended : null,
        decided_at: mine.at,
      });
    }
  }
  return {
    format: 'seedream-review', version: 1, run_id: run.run_id, ledger_id: run.ledger_id,
    reviewer: review.reviewer.trim() || null, exported_at: new Date().toISOString(), reviews,
  };
}

function download(name, value) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(value, null, 2)}\n`], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
