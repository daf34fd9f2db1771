export default async function Product({ params }) {
  const { sku } = await params;
  return <h1>{sku}</h1>;
}
