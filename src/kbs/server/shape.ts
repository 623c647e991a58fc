import type * as z from 'zod'

/**
 * Reads a value by its schema; members that the schema does not name are left out.
 * @param what names the value in the message.
 * @throws Error, whose message goes to the log: the first thing that is wrong, without the value.
 */
export function readShape<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new Error(`${what} is not valid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
}
