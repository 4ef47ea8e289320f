import { parseArgs } from 'node:util';
export class Misuse extends Error {
    name = 'Misuse';
}
export const helpOf = {
    all: `Usage: ubos <command> [options]

  ubos listen <url>           Forward the events of your tenant to a local URL
  ubos trigger <event type>   Send an example of an event
  ubos <command> --help       What a command takes
  ubos --version

The API key is taken from UBOS_API_KEY, or from a file (--key-file), never from the command line,
where everybody on the machine could read it.
`,
    listen: `Usage: ubos listen <url> [options]

Follows the events of your tenant, and posts each to <url> as a webhook: the same bytes, signed in
the same way. It goes on where it was when the connection breaks. What <url> does not take is shown,
and not sent again.

  --types <list>      Only these, such as invoice.*,client.created
  --after <position>  Begin behind this position of the feed; 0 is the oldest event. Without it: now
  --secret <whsec_…>  Sign with this secret; without it one is made and printed
  --json              One JSON object a line
  --api <url>         The API; http://127.0.0.1:3000 without it
  --key-file <path>   The file that holds the API key; UBOS_API_KEY without it

The key needs the scope events:read. Ends with Ctrl-C: 0 when everything was taken, 3 when something
was not; 1 when the API refuses, 2 when the command is not understood.
`,
    trigger: `Usage: ubos trigger <event type> [options]

Sends the example of an event to a webhook endpoint of yours, marked \`isTest\`, since nothing of it has
happened. A type of your own (custom.…) is published as any event of it, with the example you gave.

  --endpoint <whe_…>  To this endpoint; without it to your only enabled one
  --to <url>          To this URL instead, past the API, signed with --secret
  --secret <whsec_…>  Sign with this secret; with --to; without it one is made and printed
  --json              One JSON object
  --api <url>         The API; http://127.0.0.1:3000 without it
  --key-file <path>   The file that holds the API key; UBOS_API_KEY without it

The key needs events:read, and webhook_endpoints:write, or events:write for a type of your own.
`,
};
const access = {
    api: { type: 'string', default: 'http://127.0.0.1:3000' },
    'key-file': { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    secret: { type: 'string' },
};
export function readWords(words) {
    if (words.some((word) => word.includes('ubk_'))) {
        throw new Misuse('A key does not belong on the command line: set UBOS_API_KEY, or --key-file.');
    }
    const [command, ...rest] = words;
    switch (command) {
        case undefined:
        case '--help':
        case '-h':
        case 'help':
            return { kind: 'help', of: 'all' };
        case '--version':
            return { kind: 'version' };
        case 'listen':
            return readListen(rest);
        case 'trigger':
            return readTrigger(rest);
        default:
            throw new Misuse(`There is no command "${command}". Try: ubos --help`);
    }
}
function readListen(words) {
    const { values, positionals } = parsed(words, {
        ...access,
        types: { type: 'string' },
        after: { type: 'string' },
    });
    if (values.help)
        return { kind: 'help', of: 'listen' };
    const [url = ''] = requireOne(positionals, 'a URL: ubos listen http://127.0.0.1:4000/webhooks');
    const types = (values.types ?? '').split(',').map((type) => type.trim());
    return {
        kind: 'listen',
        wish: {
            ...accessOf(values),
            url: requireUrl('The URL to forward to', url),
            secret: requireSecret(values.secret),
            types: types.filter((type) => type !== ''),
            after: requirePosition(values.after),
        },
    };
}
function readTrigger(words) {
    const { values, positionals } = parsed(words, {
        ...access,
        endpoint: { type: 'string' },
        to: { type: 'string' },
    });
    if (values.help)
        return { kind: 'help', of: 'trigger' };
    const [type = ''] = requireOne(positionals, 'an event type: ubos trigger invoice.paid');
    const { endpoint, to } = values;
    if (endpoint !== undefined && to !== undefined)
        throw new Misuse('--endpoint or --to, not both.');
    if (values.secret !== undefined && to === undefined) {
        throw new Misuse('--secret is for --to; an endpoint has its own.');
    }
    return {
        kind: 'trigger',
        wish: {
            ...accessOf(values),
            type,
            endpoint,
            to: to && requireUrl('--to', to),
            secret: requireSecret(values.secret),
        },
    };
}
function parsed(args, options) {
    try {
        return parseArgs({ args, options, allowPositionals: true, strict: true });
    }
    catch (error) {
        throw new Misuse(`${error.message.split('. ')[0]}. Try --help.`);
    }
}
function accessOf(values) {
    const api = requireUrl('--api', values.api).replace(/\/+$/, '');
    return { api, keyFile: values['key-file'], isJson: values.json };
}
function requireOne(positionals, what) {
    if (positionals.length === 1)
        return positionals;
    throw new Misuse(`Give ${what}`);
}
function requireUrl(what, text) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url !== undefined && /^https?:$/.test(url.protocol))
        return text;
    throw new Misuse(`${what} must be a URL that begins with http:// or https://, not "${text}".`);
}
function requireSecret(text) {
    if (text === undefined || /^whsec_(?:[A-Za-z0-9+/]{4}){8,}[A-Za-z0-9+/]*={0,2}$/.test(text))
        return text;
    throw new Misuse('--secret must be whsec_ and at least 24 bytes in base64.');
}
function requirePosition(text) {
    if (text === undefined)
        return undefined;
    if (/^\d{1,15}$/.test(text))
        return Number(text);
    throw new Misuse(`--after must be a position, such as 0 or 4711, not "${text}".`);
}
