# Judges pairs by Elixir's Version: see ../../reference_test.go.
defmodule Judge do
  def verdict(line) do
    case line |> String.split("\t") |> Enum.map(&Version.parse/1) do
      [{:ok, a}, {:ok, b}] -> "1 1 #{order(Version.compare(a, b))}\n"
      [a, b] -> "#{valid(a)} #{valid(b)} 0\n"
    end
  end

  defp order(:lt), do: -1
  defp order(:eq), do: 0
  defp order(:gt), do: 1

  defp valid(:error), do: 0
  defp valid(_), do: 1
end

System.fetch_env!("PRATIQUE_PAIRS")
|> File.read!()
|> String.split("\n", trim: true)
|> Enum.map(&Judge.verdict/1)
|> IO.write()
