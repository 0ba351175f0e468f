// SPDX-License-Identifier: Apache-2.0
// The tokens that parse5's tokenizer gives to its tree builder: documents as a JSON array from standard input, to the form of
// test/tool/html_tokens.c. Scripting is off, as in a mail client.
'use strict';
const { Parser } = require('parse5');
const docs = JSON.parse(require('fs').readFileSync(0, 'utf8'));
let tokens, last;

function record(name, make) {
	const original = Parser.prototype[name];
	Parser.prototype[name] = function (token) {
		// The tree builder hands a token to itself again when its mode has changed.
		if (token !== last) {
			last = token;
			tokens.push(make(token));
		}
		return original.call(this, token);
	};
}

record('onStartTag', (t) => ['S', t.tagName, Object.fromEntries(t.attrs.map((a) => [a.name, a.value]))]);
record('onEndTag', (t) => ['E', t.tagName]);
record('onComment', (t) => ['C', t.data]);
record('onDoctype', (t) => ['D', t.name || '']);
for (const name of ['onCharacter', 'onWhitespaceCharacter', 'onNullCharacter']) record(name, (t) => ['T', t.chars]);

console.log(JSON.stringify(docs.map((doc) => {
	tokens = [];
	last = null;
	Parser.parse(doc, { scriptingEnabled: false });
	return tokens;
})));
