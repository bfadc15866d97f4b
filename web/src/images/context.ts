import { useOutletContext } from 'react-router'

import type { Schemas } from '../api/client'

export interface ImageContext {
  image: Schemas['Image']
  /** The tag by which one came here, "main/app:1"; "" where the image has none. */
  at: string
}

/** The image of the page around a tab. */
export function useImage(): ImageContext {
  return useOutletContext<ImageContext>()
}
