/** Looks again and again until it is so; throws when it is not in time. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  deadlineMs = 18_000,
): Promise<void> {
  const endMs = performance.now() + deadlineMs
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${isSo}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
