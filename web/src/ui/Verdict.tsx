import { IconAlertTriangle, IconCircleCheck, IconCircleX, IconHelpCircle, IconLoader2 } from '@tabler/icons-react'
import type { ReactNode } from 'react'

import classes from './Verdict.module.css'

const icons = { good: IconCircleCheck, bad: IconCircleX, warn: IconAlertTriangle, open: IconHelpCircle, busy: IconLoader2 }

/** A short judgement with a mark. */
export function Verdict({ kind, children }: { kind: keyof typeof icons; children: ReactNode }) {
  const Icon = icons[kind]
  return (
    <span className={`${classes.verdict} ${classes[kind]}`}>
      <Icon size={15} aria-hidden />
      <span>{children}</span>
    </span>
  )
}
