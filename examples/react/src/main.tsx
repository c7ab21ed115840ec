import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";

const user = new URLSearchParams(location.search).get("user") ?? "guest";
createRoot(document.getElementById("root")!).render(<StrictMode><App user={user} /></StrictMode>);
