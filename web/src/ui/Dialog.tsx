import { Modal, type ModalProps } from '@mantine/core'
import { useEffect, useState } from 'react'

/** A dialog that gives the focus back to where it was, also when it is taken away at once. */
export function Dialog(props: ModalProps) {
  const [before] = useState(() => document.activeElement)
  useEffect(() => () => {
    if (before instanceof HTMLElement) setTimeout(() => before.isConnected && before.focus())
  }, [before])
  return <Modal {...props} />
}
