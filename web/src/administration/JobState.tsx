import type { Schemas } from '../api/client'
import { Verdict } from '../ui/Verdict'

const kinds = { queued: 'open', running: 'busy', done: 'good', failed: 'bad', cancelled: 'warn' } as const

/** How far a job is. */
export function JobState({ job }: { job: Schemas['Job'] }) {
  return <Verdict kind={kinds[job.state]}>{job.state === 'running' && job.progress ? job.progress : job.state}</Verdict>
}
