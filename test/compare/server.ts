// An OpenAI-compatible endpoint of our own, that answers as a test wants.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What is asked. */
export interface AskedBody {
  model: string
  messages: { role: string; content: string }[]
  logprobs?: boolean
  max_tokens?: number
  max_completion_tokens?: number
  temperature?: number
}

export interface JudgeServer {
  url: string
  /** All that was asked, in order. */
  asked: AskedBody[]
  keys: (string | undefined)[]
  /** Most questions that were under way at once. */
  most: number
  close(): Promise<void>
}

/** A whole answer to be sent, or what to do in its place. */
export type Reply =
  | { text: string; logprobs?: object }
  | { status: number; body?: string; headers?: Record<string, string> }
  | { raw: string }
  | 'hang up'
  | 'hang up in the midst'
  | 'silence'

/** @param answer the reply to a body, which is the n-th from 0 */
export async function startJudge(
  answer: (body: AskedBody, count: number) => Reply | Promise<Reply>,
): Promise<JudgeServer> {
  const asked: AskedBody[] = []
  const keys: (string | undefined)[] = []
  let underWay = 0
  const judge: JudgeServer = { asked, keys, most: 0, url: '', close: async () => undefined }
  const server = createServer(async (request, response) => {
    judge.most = Math.max(judge.most, ++underWay)
    response.on('close', () => underWay--)
    const body = JSON.parse(await textOf(request)) as AskedBody
    const count = asked.push(body) - 1
    keys.push(request.headers.authorization)
    if (request.url !== '/v1/chat/completions') send(response, 404, 'no such path')
    else give(response, await answer(body, count))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  judge.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  judge.close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return judge
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body)
}

function give(response: ServerResponse, reply: Reply): void {
  if (reply === 'silence') return
  if (reply === 'hang up') response.destroy()
  else if (reply === 'hang up in the midst') {
    response.writeHead(200, { 'Content-Length': '1000' })
    response.write('{"choices": [', () => response.destroy())
  } else if ('raw' in reply) send(response, 200, reply.raw)
  else if ('status' in reply) send(response, reply.status, reply.body ?? '', reply.headers)
  else {
    const message = { role: 'assistant', content: reply.text }
    send(
      response,
      200,
      JSON.stringify({ choices: [{ message, ...(reply.logprobs ? { logprobs: reply.logprobs } : {}) }] }),
    )
  }
}

/** The two answers of a question, as the judge is shown them. */
export function shown({ messages }: AskedBody): [a: string, b: string] {
  const [, a, b] = /### Answer A\n([\s\S]*)\n\n### Answer B\n([\s\S]*)\n\nWhich/.exec(messages.at(-1)!.content)!
  return [a!, b!]
}
