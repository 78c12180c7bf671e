/** A failure that its message explains in full: it is printed without a stack. */
export class Failure extends Error {}

/** Runs the work of a command; a Failure becomes its last line and exit code 1. */
export async function explainFailure(work) {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(error.message)
    process.exitCode = 1
    return undefined
  }
}
