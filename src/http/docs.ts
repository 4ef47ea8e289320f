import { readFile } from 'node:fs/promises'
import swagger from '@fastify/swagger'
import scalar from '@scalar/fastify-api-reference'
import type { FastifyInstance } from 'fastify'
import { problems } from '#generated/problems.ts'
import { problem } from './problem.ts'

const contractFile = new URL('../../generated/openapi.json', import.meta.url)

/** What the reference page needs to run: its own script and style, and calls to this API. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

/** Serves the contract, its reference with try-it at `/docs`, and a page for each problem. */
export async function serveDocs(app: FastifyInstance): Promise<void> {
  const text = await readFile(contractFile, 'utf8')
  await app.register(swagger, {
    mode: 'static',
    specification: { document: JSON.parse(text), path: '' },
  })
  app.get('/openapi.json', (_request, reply) =>
    reply.header('content-type', 'application/json; charset=utf-8').send(text),
  )
  app.get('/openapi.yaml', (_request, reply) =>
    reply
      .header('content-type', 'application/yaml; charset=utf-8')
      .send(app.swagger({ yaml: true })),
  )
  app.get('/', (_request, reply) => reply.redirect('/docs'))
  // Browsers ask by themselves; there is no icon, and that is no error.
  app.get('/favicon.ico', (_request, reply) => reply.code(204).send())
  app.get<{ Params: { code: string } }>('/problems/:code', (request, reply) => {
    const { code } = request.params
    if (!isCode(code)) throw problem('not_found', { detail: 'There is no such problem.' })
    return reply.header('content-type', 'text/html; charset=utf-8').send(problemPage(code))
  })
  await app.register(async (docs) => {
    docs.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', contentSecurityPolicy)
    })
    await docs.register(scalar, {
      routePrefix: '/docs',
      configuration: {
        url: '/openapi.json',
        metaData: { title: 'UBOS API' },
        withDefaultFonts: false,
        hideClientButton: true,
        showDeveloperTools: 'never',
        telemetry: false,
        agent: { disabled: true },
        mcp: { disabled: true },
      },
    })
  })
}

function isCode(text: string): text is keyof typeof problems {
  return Object.hasOwn(problems, text)
}

function problemPage(code: keyof typeof problems): string {
  const { status, title, description } = problems[code]
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>body { font: 1.05rem/1.6 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }</style>
<p>${status} · <code>${code}</code></p>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(description)}</p>
<p><a href="/docs">All of the API</a></p>
</html>`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
