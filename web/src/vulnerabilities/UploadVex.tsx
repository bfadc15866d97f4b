import { Button, FileInput, Group, Stack, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useNavigate } from 'react-router'

import { client } from '../api/client'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'

/** Uploads a VEX document. */
export function UploadVex({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate()
  const refresh = useRefresh()
  const [file, setFile] = useState<File | null>(null)
  const [image, setImage] = useState('')
  const upload = useMutation({
    mutationFn: async () => {
      const { data } = await client.POST('/vex-documents', {
        params: { query: image.trim() === '' ? {} : { image: image.trim() } },
        // As it is: the server tells what is wrong with it.
        body: (await file?.text() ?? '') as unknown as Record<string, never>, bodySerializer: (b) => b as unknown as string,
      })
      return data
    },
    onSuccess: async (made) => {
      await refresh()
      onClose()
      if (made) await navigate(`/vex-documents/${made.id}`)
    },
  })
  return (
    <Dialog opened onClose={onClose} title="Upload a VEX document">
      <form onSubmit={(e) => { e.preventDefault(); upload.mutate() }}>
        <Stack gap="sm">
          <FileInput label="File" description="OpenVEX, CSAF 2.0, CycloneDX with analyses, or an in-toto statement on OpenVEX" placeholder="Choose a file" required value={file} onChange={(f) => { setFile(f); upload.reset() }} />
          <TextInput label="The image that it is about" description="By its digest. Empty: its products say so." placeholder="sha256:…" value={image} onChange={(e) => setImage(e.currentTarget.value)} />
          <Failure what="It was not uploaded" error={upload.error} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" disabled={file === null} loading={upload.isPending}>Upload</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
