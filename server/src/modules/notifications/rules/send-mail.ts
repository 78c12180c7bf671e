import type { InputProblem } from '../../../kernel/errors.ts'
import type { SendMailInput } from '../schema.ts'
import { templates } from './templates.ts'

/** What cannot be told by the members alone: what goes together, and what must be there. */
export function problemsOfMail(input: SendMailInput): InputProblem[] {
  return [...problemsOfRecipient(input), ...problemsOfContent(input)]
}

function problemsOfRecipient({ to, customerId }: SendMailInput): InputProblem[] {
  if ((to === undefined) !== (customerId === undefined)) return []
  const message = 'exactly one of to and customerId is required'
  return [{ pointer: '/to', code: to === undefined ? 'required' : 'combination', message }]
}

function problemsOfContent(input: SendMailInput): InputProblem[] {
  const { template } = input
  if (template === undefined) {
    const message = 'is required without a template'
    const missing = (['subject', 'text'] as const).filter((name) => input[name] === undefined)
    return [
      ...missing.map((name) => ({ pointer: `/${name}`, code: 'required' as const, message })),
      ...(input.data === undefined
        ? []
        : [{ pointer: '/data', code: 'combination' as const, message: 'goes with a template' }]),
    ]
  }
  const words = (['subject', 'text', 'html'] as const).filter((name) => input[name] !== undefined)
  return [
    ...(templates[template].byHand
      ? []
      : [
          {
            pointer: '/template',
            code: 'not_allowed' as const,
            message: 'is sent by Bureau alone',
          },
        ]),
    ...(input.data === undefined
      ? [{ pointer: '/data', code: 'required' as const, message: 'is required with a template' }]
      : []),
    ...words.map((name) => ({
      pointer: `/${name}`,
      code: 'combination' as const,
      message: 'is written by the template',
    })),
  ]
}
