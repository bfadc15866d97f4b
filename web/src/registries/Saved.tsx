import { Button, Group } from '@mantine/core'

import { Failure } from '../ui/Failure'
import { Verdict } from '../ui/Verdict'

interface Props {
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  disabled: boolean
  onReload: () => void
}

/** The end of a form: saves it, and says what came of it. */
export function Saved({ change, disabled, onReload }: Props) {
  return (
    <>
      <Failure what="It was not saved" error={change.error} reload={onReload} />
      {!disabled && (
        <Group>
          <Button type="submit" loading={change.isPending}>Save</Button>
          <span role="status">{change.isSuccess && <Verdict kind="good">Saved</Verdict>}</span>
        </Group>
      )}
    </>
  )
}
